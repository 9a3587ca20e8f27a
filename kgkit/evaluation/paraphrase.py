"""`kgkit teacher paraphrase`: a teacher's further ways to put the instructions of retrieval tasks, added to the workspace's file.

Nothing is measured here, and no graph is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kgkit.evaluation.aside import Stopped, ask_aside
from kgkit.loop import Progress
from kgkit.records import Ask
from kgkit.retrieval.paraphrases import (
    ParaphraseInstruction,
    new_ones,
    read_paraphrases,
    write_paraphrases,
)
from kgkit.teacher.asking import Event
from kgkit.teacher.budget import Budget
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.protocol import Teacher

ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paraphrases:
    """What one task has gained. `asked`: how many were wanted; `reply`: what became of the ask; `kept`: those that the file had.

    `left_out`: lines of replies that were not taken, by reason.
    """

    asked: int
    reply: str
    new: int
    kept: int
    left_out: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paraphrased:
    """What a teacher said, by task."""

    teacher: str
    file: Path
    tasks: dict[str, Paraphrases]
    calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    stopped: Stopped | None

    @property
    def silent(self) -> bool:
        """Whether no reply was usable."""
        return not any(one.reply == ACCEPTED for one in self.tasks.values())

    @property
    def exit_code(self) -> int:
        """130 interrupted; 5 a budget was reached, something failed or no reply was usable; else 0."""
        if self.stopped == "interrupted":
            return 130
        failed = any(one.reply.startswith("failed") for one in self.tasks.values())
        return 5 if self.stopped or failed or self.silent else 0


def paraphrase(
    asked: Sequence[ParaphraseInstruction],
    teacher: Teacher,
    *,
    wanted: int,
    path: Path,
    ledger: Ledger,
    budget: Budget,
    on_event: Callable[[Event], None],
) -> Paraphrased:
    """Ask for `wanted` paraphrases of each task, and add what is new to the file at `path`; what it holds stays.

    Raises ContentError for a file that cannot be read, before anything is asked, and ServiceError as Asker.answers.
    """
    kept = read_paraphrases(path)
    to_ask = [(one, [one.ask]) for one in asked if not one.names_held_out]
    progress, stopped = ask_aside(to_ask, teacher, ledger=ledger, budget=budget, on_event=on_event)
    tasks: dict[str, Paraphrases] = {}
    whole = dict(kept)
    for one in asked:
        name = one.task.name
        before = kept.get(name, [])
        new = new_ones(one.found, before)
        if new:
            whole[name] = [*before, *new]
        tasks[name] = Paraphrases(
            asked=wanted,
            reply="names a held-out asset" if one.names_held_out else _end(one.ask, progress),
            new=len(new),
            kept=len(before),
            left_out=dict(sorted(one.left_out.items())),
        )
    if whole != kept:
        write_paraphrases(path, whole)
    return Paraphrased(
        teacher=teacher.name,
        file=path,
        tasks=tasks,
        calls=budget.spent.calls,
        tokens_in=budget.spent.tokens_in,
        tokens_out=budget.spent.tokens_out,
        cost=budget.spent.cost if budget.cost_known else None,
        stopped=stopped,
    )


def _end(ask: Ask, progress: Progress) -> str:
    if ask.id in progress.accepted:
        return ACCEPTED
    if reason := progress.rejected.get(ask.id):
        return f"rejected: {reason}"
    kind = progress.failed.get(ask.id)
    return f"failed: {kind}" if kind else "not asked"
