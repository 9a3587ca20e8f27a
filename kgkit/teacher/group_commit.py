"""Replies become durable together: one transaction for all that ended while the last one was written."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from kgkit.errors import KgkitError
from kgkit.records import Ask, Failure, Reply
from kgkit.teacher.ledger import Ledger


@dataclass(slots=True)
class Writer:
    """Whatever ended while the last transaction was written goes into the next one."""

    ledger: Ledger
    _waiting: list[tuple[Ask, Reply | Failure, "asyncio.Future[None]"]] = field(
        default_factory=list
    )
    _task: "asyncio.Task[None] | None" = None
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
    )

    async def record(self, ask: Ask, end: Reply | Failure) -> None:
        """Returns when `end` is on the disk."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, end, written))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())
        await written

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            rows = [(ask, end) for ask, end, _ in batch]
            outcome: KgkitError | None = None
            try:
                commit = self.ledger.begin(rows)
                await loop.run_in_executor(self._thread, commit)
            except KgkitError as error:
                outcome = error
            for _, _, written in batch:
                if written.done():
                    continue
                if outcome is not None:
                    written.set_exception(outcome)
                else:
                    written.set_result(None)

    def close(self) -> None:
        """End the thread. Nothing may be waiting any more."""
        self._thread.shutdown(wait=True)
