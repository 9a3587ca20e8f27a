"""One model's answers to one benchmark as a file with its run card: what was asked, how, of whom, with which versions; and back."""

import importlib.metadata
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from kgkit.errors import ContentError
from kgkit.evaluation.answering import Answered
from kgkit.evaluation.asks import By, Mode, Way
from kgkit.evaluation.models import Model, TrainedOn
from kgkit.evaluation.pose import Posed
from kgkit.evaluation.scores import Outcome, right_options
from kgkit.evaluation.variants import PLAIN
from kgkit.names import slug
from kgkit.records import Question, Subject, digest
from kgkit.workspace import write_atomically

_LIBRARIES = ("kgkit", "torch", "transformers", "sentence-transformers", "openai")


class Kept(BaseModel):
    """A question's outcome as it is kept: chosen options, how it was undecided, what failed, and whether every variant was right.

    `asks`: what it was asked in its plain form, by id in evaluations/ledger.sqlite.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    chosen: list[int] | None
    undecided: str
    error: str
    held: bool | None
    asks: list[str] = []


class Result(BaseModel):
    """A model's answers and their run card. `questions` is a digest of all questions and keys: results with the same one compare.

    `protocol`: what the model may have learned (`alia`, `transfer`), "" where nothing is known of it. `contaminated`: families that
    both the questions and its training speak of.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    identity: str
    protocol: str
    trained_on: TrainedOn | None
    contaminated: list[str]
    benchmark: str
    version: int
    questions: str
    split: str
    mode: Mode
    by: By
    shots: int
    wording: str
    wording_version: int
    robust: bool
    unasked: int
    stopped: str | None
    versions: dict[str, str]
    outcomes: list[Kept]

    def by_question(self) -> dict[str, Outcome]:
        """The outcomes by question id."""
        return {
            kept.id: Outcome(
                question_id=kept.id,
                chosen=None if kept.chosen is None else frozenset(kept.chosen),
                undecided=kept.undecided,
                error=kept.error,
            )
            for kept in self.outcomes
        }

    def held(self) -> dict[str, bool]:
        """Whether each question was right in all its variants, by id; without those that were put in one variant alone."""
        return {kept.id: kept.held for kept in self.outcomes if kept.held is not None}


def questions_digest(questions: Iterable[Question]) -> str:
    """What tells one set of questions from another."""
    return digest([[one.id, list(one.options), list(one.correct)] for one in questions])


def result_of(
    model: Model,
    posed: Posed,
    answered: Answered,
    way: Way,
    *,
    split: str,
    robust: bool,
    contaminated: Sequence[str],
) -> Result:
    """The result of one model on what was posed."""
    teacher = model.teacher
    return Result(
        model=model.name,
        identity=teacher.identity(Subject(asset="")) if teacher else model.identity or model.name,
        protocol=model.trained_on.protocol if model.trained_on else "",
        trained_on=model.trained_on,
        contaminated=sorted(contaminated),
        benchmark=posed.name,
        version=posed.version,
        questions=questions_digest(posed.questions),
        split=split,
        mode=way.mode,
        by=way.by,
        shots=len(way.examples),
        wording=way.wording.language,
        wording_version=way.wording.version,
        robust=robust,
        unasked=answered.unasked,
        stopped=answered.stopped,
        versions=versions(_LIBRARIES),
        outcomes=_kept(posed.questions, answered, robust=robust),
    )


def _kept(questions: Sequence[Question], answered: Answered, *, robust: bool) -> list[Kept]:
    from kgkit.evaluation.variants import variants

    kept = []
    for question in questions:
        outcome = answered.outcomes[PLAIN].get(question.id)
        if outcome is None:
            continue
        held = None
        if robust:
            ends = [
                (variant, answered.outcomes[name].get(question.id))
                for name, variant in variants(question)
            ]
            held = all(
                end is not None and end.chosen == right_options(variant) for variant, end in ends
            )
        kept.append(
            Kept(
                id=question.id,
                chosen=None if outcome.chosen is None else sorted(outcome.chosen),
                undecided=outcome.undecided,
                error=outcome.error,
                held=held,
                asks=answered.asks.get(question.id, []),
            )
        )
    return kept


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Python's version, and those of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def write_result(result: Result, folder: Path) -> Path:
    """Keep the result as JSON; its name tells the model and the way it was asked, so that only the same run is replaced, and that not by less: the same answers without variants."""
    way = [
        result.identity,
        result.mode,
        result.by,
        result.shots,
        result.questions,
        result.wording_version,
    ]
    name = f"{slug(result.model)[-60:]}-{digest(way)[:12]}.json"
    path = folder / result.benchmark / name
    if not result.robust and path.exists() and _has_more(read_result(path), result):
        return path
    write_atomically(path, (result.model_dump_json(indent=1) + "\n").encode())
    return path


def _has_more(kept: Result, result: Result) -> bool:
    """Whether what is kept has the same answers, and those to variants besides."""
    alone = {"robust": False, "versions": {}, "outcomes": []}
    same = kept.model_copy(update=alone) == result.model_copy(update=alone)
    return kept.robust and same and kept.by_question() == result.by_question()


def read_result(path: Path) -> Result:
    """A result that was kept. Raises ContentError."""
    try:
        return Result.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContentError(f"{path} is no result of `kgkit evaluate`: {error}") from None
