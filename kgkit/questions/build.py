"""Turn facts into the questions of a benchmark. Pure, and the same for the same facts and seed.

Every draw is a hash of the seed and what is drawn for, so that a new table changes no question about another one. Right options
stand equally often in each place; a statement is as often true as false.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kgkit.questions.benchmark import RELATION_OF, Benchmark
from kgkit.questions.drafts import (
    SUBJECT_IS_RIGHT,
    Draft,
    Option,
    drafts,
    hashed,
    in_fixed_order,
    unlike,
)
from kgkit.questions.facts import Fact, Relation
from kgkit.questions.proof import proof
from kgkit.questions.wording import Wording, told
from kgkit.records import Question

_HARD_OPTIONS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFacts:
    """What questions need to know of an asset besides its facts."""

    name: str
    family: str
    discipline: str


@dataclass(slots=True, kw_only=True)
class Built:
    """The questions, and how many could not be worded because a term is missing, by term."""

    questions: list[Question]
    untranslated: Counter[str] = field(default_factory=Counter)


def build(
    benchmark: Benchmark,
    facts: Mapping[Relation, Sequence[Fact]],
    *,
    assets: Mapping[str, AssetFacts],
    wording: Wording,
    terms: Mapping[str, str] | None,
) -> Built:
    """The benchmark's questions about the assets in `assets`, by id; facts of other assets only lend easy distractors.

    Raises ContentError where a wording is missing.
    """
    built = Built(questions=[])
    for type_, count in benchmark.counts.items():
        drawn = drafts(benchmark, type_, count, facts, frozenset(assets))
        sizes: Counter[int] = Counter()
        for draft in in_fixed_order(drawn, benchmark.seed):
            place = sizes[len(draft.options)]
            question, lacking = _worded(draft, place, benchmark, assets, wording, terms)
            built.untranslated.update(lacking)
            if question is not None:
                sizes[len(draft.options)] += 1
                built.questions.append(question)
    built.questions.sort(key=lambda question: question.id)
    return built


def _worded(
    draft: Draft,
    place: int,
    benchmark: Benchmark,
    assets: Mapping[str, AssetFacts],
    wording: Wording,
    terms: Mapping[str, str] | None,
) -> tuple[Question | None, list[str]]:
    """The question in words, its options in their places; or the names that the language lacks."""
    subject = draft.subject
    asset = assets.get(subject.asset) or AssetFacts(name="", family="", discipline="")
    options = _placed(draft, place, benchmark.seed)
    names = [asset.name, subject.name, *(option.name for option in options)]
    words = {name: told(name, terms) for name in names if name}
    lacking = [name for name, word in words.items() if word is None]
    if lacking:
        return None, lacking
    spoken = {name: word or "" for name, word in words.items()} | {"": ""}
    said = {"asset": spoken[asset.name], "subject": spoken[subject.name]}
    wanted = draft.polarity == "select"
    if draft.type == "true-false":
        true = options[0].holds == wanted
        said["option"] = spoken[options[0].name]
        shown, correct = [wording.true, wording.false], [true, not true]
        ids, pairs = ["true", "false"], [options[0].pair] * 2
    else:
        shown = [spoken[option.name] for option in options]
        correct = [option.holds == wanted for option in options]
        ids, pairs = [option.id for option in options], [option.pair for option in options]
    stem, *paraphrases = wording.render(draft.direction, draft.polarity, draft.type, said)
    question = Question(
        id="",
        benchmark=benchmark.name,
        relation=RELATION_OF[draft.direction],
        direction=draft.direction,
        polarity=draft.polarity,
        type=draft.type,
        asset=subject.asset,
        family=asset.family,
        discipline=asset.discipline,
        language=benchmark.language,
        asset_name=said["asset"],
        subject=said["subject"],
        stem=stem,
        paraphrases=tuple(paraphrases),
        options=tuple(shown),
        correct=tuple(correct),
        facts=tuple(pairs),
        proof=proof(
            RELATION_OF[draft.direction],
            subject=subject.id,
            subject_is_left=draft.direction not in SUBJECT_IS_RIGHT,
            asset=subject.asset,
            others=[option.id for option in options],
            polarity=draft.polarity,
            statement=draft.type == "true-false",
            closed=any(option in subject.elsewhere for option in options),
        ),
        option_ids=tuple(ids),
        spares=_spares(draft, terms, benchmark.seed),
        sources=tuple(sorted({source for option in options for source in option.sources})),
        hard=(
            benchmark.distractors == "same-asset" and len(options) >= _HARD_OPTIONS and not wanted
        ),
    )
    return replace(question, id=hashed(benchmark.name, benchmark.version, stem, *shown)[:32]), []


def _spares(draft: Draft, terms: Mapping[str, str] | None, seed: int) -> tuple[str, ...]:
    """Wrong options of the subject that are not shown, at most as many as are."""
    if draft.type != "single":
        return ()
    wanted = draft.polarity == "select"
    right = [option for option in draft.options if option.holds == wanted]
    others = [
        option
        for option in draft.subject.options
        if option.holds != wanted and option not in draft.options
    ]
    apart = unlike(others, right, RELATION_OF[draft.direction], foreign=False)
    drawn = sorted(apart, key=lambda option: hashed(seed, *draft.key, option.id))
    told_ = [word for option in drawn if (word := told(option.name, terms))]
    return tuple(told_[: len(draft.options) - 1])


def _placed(draft: Draft, place: int, seed: int) -> list[Option]:
    """The options in the order shown: the right one of a single choice stands in each place equally often."""
    options = list(draft.options)
    random.Random(hashed(seed, place, *draft.key)).shuffle(options)  # noqa: S311 - no secret
    if draft.type == "single":
        wanted = draft.polarity == "select"
        right = next(option for option in options if option.holds == wanted)
        options.remove(right)
        options.insert(place % len(draft.options), right)
    return options
