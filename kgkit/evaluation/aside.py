"""Ask a teacher outside Phase I and II: as in a run, an unusable reply once more, but no graph is written."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

from kgkit.loop import Progress, ask_all
from kgkit.records import Ask
from kgkit.runs import closing, stopped_by_signals
from kgkit.stages import Parser
from kgkit.teacher.asking import Asker, Event
from kgkit.teacher.budget import Budget
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.protocol import Teacher

Stopped = Literal["budget", "interrupted"]


def ask_aside(
    asked: Sequence[tuple[Parser, list[Ask]]],
    teacher: Teacher,
    *,
    ledger: Ledger,
    budget: Budget,
    on_event: Callable[[Event], None],
) -> tuple[Progress, Stopped | None]:
    """What became of all the asks, and what stopped them before their end. What the ledger holds is not asked again; the teacher is closed.

    Raises ServiceError as Asker.answers: everything answered before is kept.
    """
    return asyncio.run(_asked(asked, teacher, ledger, budget, on_event))


async def _asked(
    asked: Sequence[tuple[Parser, list[Ask]]],
    teacher: Teacher,
    ledger: Ledger,
    budget: Budget,
    on_event: Callable[[Event], None],
) -> tuple[Progress, Stopped | None]:
    whole = Progress()
    async with closing(teacher), Asker(teacher, ledger, budget=budget, on_event=on_event) as asker:
        with stopped_by_signals(asker.stop):
            found = await asyncio.gather(*(ask_all(parser, asks, asker) for parser, asks in asked))
        interrupted = asker.ended == "interrupted"
    for progress, _ in found:
        whole.accepted |= progress.accepted
        whole.rejected |= progress.rejected
        whole.failed |= progress.failed
    return whole, "interrupted" if interrupted else "budget" if budget.exhausted else None
