"""Turn the matrices of training assets into rows: a matrix row as a question whose answer lists all that is right, or each cell as a statement, true or false."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kgkit.expand.scope import Assets
from kgkit.finetune.reasons import UNEXPLAINED, reason, told_of
from kgkit.finetune.recipe import ListsPart, StatementsPart
from kgkit.finetune.rows import Row, turn
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.questions.benchmark import RELATION_OF, Direction, read_benchmark
from kgkit.questions.drafts import SUBJECT_IS_RIGHT
from kgkit.questions.facts import Fact, facts
from kgkit.questions.making import asset_facts
from kgkit.questions.wording import Wording, read_wording
from kgkit.records import Polarity, digest
from kgkit.splits import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asset:
    """An asset by id, and what questions call it."""

    id: str
    name: str


@dataclass(slots=True, kw_only=True)
class _Subject:
    """What one question is about, and what holds of it and what does not: name -> ids of the fact."""

    name: str
    holds: dict[str, tuple[str, str]] = field(default_factory=dict)
    not_: dict[str, tuple[str, str]] = field(default_factory=dict)


def list_rows(part: ListsPart, graph: GraphStore, split: Split, *, seed: int) -> Iterator[Row]:
    """One row for each subject of each training asset, direction, polarity and wording that has right and wrong options.

    Options that name a held-out asset are left out of their lists.
    """
    wording = read_wording(read_benchmark(part.benchmark).language)
    for direction, asset, subject in subjects(part.benchmark, graph, split):
        for polarity in part.polarities:
            right, wrong = subject.holds, subject.not_
            if polarity == "eliminate":
                right, wrong = wrong, right
            if not right or not wrong:
                continue
            key = f"{seed}/{asset.id}/{direction}/{subject.name}/{polarity}"
            asked_of = (direction, polarity)
            put = _put(part, wording, asked_of, (asset.name, subject.name), list(right), key)
            for number, (asked, answered) in enumerate(put):
                yield Row(
                    id=digest([asset.id, direction, subject.name, polarity, number]),
                    part=part.label,
                    asset=asset.id,
                    matrix=RELATION_OF[direction] == "relevance",
                    prompt=turn("user", asked),
                    completion=turn("assistant", answered),
                )


def statement_rows(
    part: StatementsPart,
    graph: GraphStore,
    split: Split,
    *,
    seed: int,
    left_out: Counter[str],
) -> Iterator[Row]:
    """One row for each cell of each training asset, direction and wording: a statement, and whether it is true.

    A cell that is to be explained and has no explanation is counted in `left_out`.
    """
    told = told_of(graph) if part.explained else {}
    wording = read_wording(read_benchmark(part.benchmark).language)
    for direction, asset, subject in subjects(part.benchmark, graph, split):
        cells = [(one, True) for one in subject.holds] + [(one, False) for one in subject.not_]
        for option, holds in sorted(cells):
            cell = (subject.holds if holds else subject.not_)[option]
            why = reason(told, (asset.id, *cell), holds=holds)
            if part.explained and not why:
                left_out[UNEXPLAINED] += 1
                continue
            verdict = f"{wording.answer} {wording.true if holds else wording.false}"
            key = f"{seed}/{asset.id}/{direction}/{subject.name}/{option}"
            rng = random.Random(key)  # noqa: S311 - a draw, no secret
            for number in range(part.wordings):
                named = wording.unnamed if rng.random() < part.unnamed else asset.name
                said = {"asset": named, "subject": subject.name, "option": option}
                stems = wording.render(direction, "select", "true-false", said)
                yield Row(
                    id=digest([asset.id, direction, subject.name, option, number, part.explained]),
                    part=part.label,
                    asset=asset.id,
                    matrix=RELATION_OF[direction] == "relevance",
                    why=why,
                    prompt=turn("user", f"{stems[number % len(stems)]}\n"),
                    completion=turn("assistant", f"{verdict}\n{why}" if why else verdict),
                )


def subjects(
    name: str, graph: GraphStore, split: Split
) -> Iterator[tuple[Direction, _Asset, _Subject]]:
    """Every row and column of the training assets' matrices, as the directions of the benchmark `name` ask about them; none of a table for evaluation."""
    assets = asset_facts(graph, split)
    held_out = Assets(reading.assets(graph, role=None), split).held_out_pattern
    for direction in read_benchmark(name).directions:
        known = [
            fact
            for fact in facts(graph, RELATION_OF[direction], role="source")
            if fact.asset in assets
            and split.side(assets[fact.asset].name) == "train"
            and not held_out.search(fact.left_name if direction in SUBJECT_IS_RIGHT else fact.right_name)
        ]  # fmt: skip
        for asset, subject in _grouped(known, direction):
            yield direction, _Asset(id=asset, name=assets[asset].name), subject


def _grouped(known: Sequence[Fact], direction: Direction) -> Iterator[tuple[str, _Subject]]:
    """(asset, subject) in the order of the facts."""
    found: dict[tuple[str, str], _Subject] = {}
    for fact in known:
        left, right = (fact.left, fact.left_name), (fact.right, fact.right_name)
        (id_, name), (_, option) = (right, left) if direction in SUBJECT_IS_RIGHT else (left, right)
        subject = found.setdefault((fact.asset, id_), _Subject(name=name))
        (subject.holds if fact.holds else subject.not_)[option] = (fact.left, fact.right)
    for (asset, _), subject in found.items():
        yield asset, subject


def _put(
    part: ListsPart,
    wording: Wording,
    asked_of: tuple[Direction, Polarity],
    names: tuple[str, str],
    options: Sequence[str],
    key: str,
) -> Iterator[tuple[str, str]]:
    """The question with its list, in as many wordings as the part says; `names` of asset and subject."""
    rng = random.Random(key)  # noqa: S311 - a draw, no secret
    direction, polarity = asked_of
    asset, subject = names
    for number in range(part.wordings):
        named = wording.unnamed if rng.random() < part.unnamed else asset
        stems = wording.render(direction, polarity, "single", {"asset": named, "subject": subject})
        listed = ", ".join(rng.sample(options, len(options)))
        yield f"{stems[number % len(stems)]}\n", f"{wording.answer} {listed}"
