"""Live progress on stderr: calls, tokens, rate, time left; a line now and then where there is no terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kgkit.cli.session import GlobalOptions

if TYPE_CHECKING:
    from kgkit.teacher.asking import Event

_LINE_EVERY_S = 15.0


class _Tally:
    """What has happened so far, as one line."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._started = time.monotonic()
        self.sent = self.done = self.cached = self.failed = self.retried = self.tokens = 0
        self.notice = ""

    def take(self, event: "Event") -> None:
        match event.kind:
            case "sent":
                self.sent += 1
            case "replied":
                self.done += 1
                self.tokens += event.tokens_in + event.tokens_out
                self.notice = ""
            case "cached":
                self.cached += 1
            case "failed":
                self.failed += 1
            case "retried":
                self.retried += 1
            case _:
                self.notice = f" | {event.kind}: {event.reason}" if event.reason else ""

    def line(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-6)
        rate = self.done / seconds
        left = max(self._expected - self.done - self.cached - self.failed, 0)
        eta = f", about {_clock(left / rate)} left" if rate > 0 and left else ""
        return (
            f"{self.done} replies, {self.cached} from the ledger, {self.failed} failed, {self.retried} retried, "
            f"{self.tokens} tokens, {rate:.1f}/s{eta}{self.notice}"
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


@contextmanager
def progress(options: GlobalOptions, *, expected: int) -> "Iterator[Callable[[Event], None]]":
    """A function to hand events to; `expected` asks at least are to come."""
    tally = _Tally(expected)
    if options.quiet:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        last = time.monotonic()

        def lines(event: "Event") -> None:
            nonlocal last
            tally.take(event)
            if time.monotonic() - last > _LINE_EVERY_S:
                last = time.monotonic()
                sys.stderr.write(tally.line() + "\n")

        yield lines
        return
    from rich.console import Console
    from rich.status import Status

    with Status("starting", console=Console(stderr=True)) as status:
        shown = 0.0

        def live(event: "Event") -> None:
            nonlocal shown
            tally.take(event)
            if time.monotonic() - shown > 0.2:
                shown = time.monotonic()
                status.update(tally.line())

        yield live
