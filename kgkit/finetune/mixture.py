"""Turn the parts of a stage into one dataset for the trainer: shares of tokens, a budget, and a seed that draws.

A part without a share gives all its rows once. A part with one is drawn from, again and again if it must be, until it has its share of all tokens.
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kgkit.errors import UsageError
from kgkit.finetune.counted import Length
from kgkit.finetune.reasons import UNEXPLAINED
from kgkit.finetune.recipe import Stage
from kgkit.finetune.rows import Row
from kgkit.workspace import write_atomically

_TRAIN = "train.jsonl"
Count = Callable[[Row], Length]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """A stage's data: rows and tokens by part, rows of which the context cuts off the end, and the sha256 of the file."""

    rows: dict[str, int]
    tokens: dict[str, int]
    cut: dict[str, int]
    sha256: str

    def as_json(self) -> dict[str, object]:
        """The mixture as a run card says it."""
        return asdict(self)


def mix(
    stage: Stage,
    parts: Sequence[Sequence[Row]],
    *,
    count: Count,
    seed: int,
    left_out: Mapping[str, Mapping[str, int]] | None = None,
) -> list[tuple[Row, Length]]:
    """The rows of one epoch with their lengths, in a drawn order. `left_out`: by part how many rows are missing, and why.

    Raises UsageError for a part without rows that can be learned, shares that leave nothing to the others, and texts mixed with chats.
    """
    _require(stage, parts, left_out or {})
    counted = [[(row, count(row)) for row in rows] for rows in parts]
    for part, some in zip(stage.data, counted, strict=True):
        if not any(length.tokens for _, length in some):
            raise UsageError(
                f"stage {stage.name}: the questions of its part {part.label} alone fill the context, and no token of an answer is left; give the recipe a longer `context`"
            )
    rng = random.Random(f"{seed}/{stage.name}")  # noqa: S311 - a draw, no secret
    shared = sum(part.share or 0 for part in stage.data)
    whole = [
        one
        for part, some in zip(stage.data, counted, strict=True)
        if part.share is None
        for one in some
    ]
    rng.shuffle(whole)
    if stage.tokens is not None:
        whole = _until(stage.tokens * (1 - shared), whole)
    tokens = (
        sum(length.tokens for _, length in whole) / (1 - shared) if whole else stage.tokens or 0
    )
    drawn = [
        one
        for part, some in zip(stage.data, counted, strict=True)
        if part.share is not None
        for one in _until(part.share * tokens, _again_and_again(some, rng))
    ]
    rng.shuffle(both := [*whole, *drawn])
    return both


def write(mixed: Sequence[tuple[Row, Length]], folder: Path, *, before: str | None = None) -> Mixed:
    """Write a mixture as the dataset that a trainer opens: `load_dataset(folder)`.

    `before`: the sha256 of the one that is there already. Raises UsageError where this one differs, and leaves that one.
    """
    lines = [json.dumps(row.as_trained(), ensure_ascii=False) + "\n" for row, _ in mixed]
    data = "".join(lines).encode()
    tokens: Counter[str] = Counter()
    for row, length in mixed:
        tokens[row.part] += length.tokens
    found = Mixed(
        rows=dict(sorted(Counter(row.part for row, _ in mixed).items())),
        tokens=dict(sorted(tokens.items())),
        cut=dict(sorted(Counter(row.part for row, length in mixed if length.cut).items())),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    if before is not None and before != found.sha256:
        raise UsageError(
            f"{folder}: the workspace has changed since this run began; train it anew with --name"
        )
    write_atomically(folder / _TRAIN, data)
    return found


def _require(
    stage: Stage, parts: Sequence[Sequence[Row]], left_out: Mapping[str, Mapping[str, int]]
) -> None:
    for part, rows in zip(stage.data, parts, strict=True):
        if not rows:
            raise UsageError(
                f"stage {stage.name}: its part {part.label} has no row{_why(left_out.get(part.label, {}))}"
            )
    forms = {row.form for rows in parts for row in rows}
    if len(forms) > 1:
        raise UsageError(
            f"stage {stage.name} mixes texts with chats, whose loss is not on the same tokens; make two stages of it"
        )
    if stage.distillation and "text" in forms:
        raise UsageError(
            f"stage {stage.name}: `distillation` is of answers, and its parts are texts; take questions, statements or chats"
        )
    shares = [part.share for part in stage.data]
    given = sum(share or 0 for share in shares)
    if None in shares and given >= 1:
        raise UsageError(f"stage {stage.name}: the shares of its parts leave nothing to the others")
    if None not in shares and (stage.tokens is None or abs(given - 1) > 1e-6):
        raise UsageError(
            f"stage {stage.name}: all its parts have a share; these must be 1 in all, of a number of `tokens`"
        )


def _why(left_out: Mapping[str, int]) -> str:
    """Why a part has no row, and what gives it some: reasons come from passages, which a teacher writes."""
    said = ", ".join(f"{reason} {count}" for reason, count in left_out.items())
    if UNEXPLAINED in left_out:
        said += ": run `kgkit expand --all --describe-no` for the reasons of its cells"
    return f"; left out: {said}" if said else ""


def _until(tokens: float, rows: Iterable[tuple[Row, Length]]) -> list[tuple[Row, Length]]:
    """The first rows whose tokens reach a number."""
    taken = []
    for one in rows:
        if tokens <= 0:
            break
        taken.append(one)
        tokens -= one[1].tokens
    return taken


def _again_and_again(
    rows: Sequence[tuple[Row, Length]], rng: random.Random
) -> Iterator[tuple[Row, Length]]:
    """All rows in a drawn order, then in another one, without end."""
    while True:
        yield from rng.sample(rows, len(rows))
