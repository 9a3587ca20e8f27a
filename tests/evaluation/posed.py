"""Questions and results made by hand, for tests of what is made of them."""

from collections.abc import Mapping, Sequence

from kgkit.evaluation.pose import Posed
from kgkit.evaluation.results import Kept, Result, questions_digest
from kgkit.records import Question


def question(name: str, *, options: Sequence[str] = ("no", "yes"), right: int = 1) -> Question:
    return Question(
        id=name,
        benchmark="made",
        relation="",
        direction="",
        polarity="select",
        type="single",
        asset="",
        family="",
        discipline="",
        language="en",
        asset_name="",
        subject="",
        stem=f"Is it {name}?",
        paraphrases=(),
        options=tuple(options),
        correct=tuple(at == right for at in range(len(options))),
        facts=(),
        proof="",
        option_ids=(),
        spares=(),
        sources=(),
        hard=False,
    )


def posed(questions: Sequence[Question], *, name: str = "made") -> Posed:
    return Posed(name=name, version=1, questions=list(questions))


def result(
    model: str,
    of: Posed,
    chosen: Mapping[str, int | str | None],
    *,
    asks: Mapping[str, list[str]] | None = None,
    mode: str = "logprob",
) -> Result:
    """`chosen`: question id -> the place chosen, a text where it is undecided so, None where it was not asked."""
    outcomes = [
        Kept(
            id=id_,
            chosen=[one] if isinstance(one, int) else None,
            undecided=one if isinstance(one, str) else "",
            error="",
            held=None,
            asks=(asks or {}).get(id_, []),
        )
        for id_, one in chosen.items()
        if one is not None
    ]
    return Result.model_validate(
        {
            "model": model,
            "identity": model,
            "protocol": "",
            "trained_on": None,
            "contaminated": [],
            "benchmark": of.name,
            "version": 1,
            "questions": questions_digest(of.questions),
            "split": "default",
            "mode": mode,
            "by": "letters",
            "shots": 0,
            "wording": "en",
            "wording_version": 1,
            "robust": False,
            "unasked": 0,
            "stopped": None,
            "versions": {},
            "outcomes": outcomes,
        }
    )
