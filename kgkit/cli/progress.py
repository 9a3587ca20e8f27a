"""Live progress on stderr: calls, tokens, rate, time left; a line now and then where there is no terminal."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from kgkit.cli.session import GlobalOptions

if TYPE_CHECKING:
    from kgkit.teacher.asking import Event

_LINE_EVERY_S = 15.0
_REPLIES_FOR_A_GUESS = 10
"""The first replies come one by one (discovery) or all at once: they tell nothing of the rate."""
Item = TypeVar("Item")


class Tally:
    """What has happened so far. `show` is called after each change; `cost` gives what was spent, if known."""

    def __init__(self, expected: int, cost: Callable[[], float | None]) -> None:
        self._expected = expected
        self._cost = cost
        self._started = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._tokens = 0
        self._rejected = 0
        self._notice = ""
        self.show: Callable[[], None] = lambda: None

    def take(self, event: "Event") -> None:
        """Count an event of the asker."""
        self._counts[event.kind] += 1
        self._tokens += event.tokens_in + event.tokens_out
        if event.kind in ("waiting", "stopped"):
            self._notice = f" | {event.kind}: {event.reason}"
        elif event.kind in ("replied", "resumed"):
            self._notice = ""
        self.show()

    def rejects(self, count: int) -> None:
        """Count replies that were not accepted."""
        self._rejected += count
        self.show()

    def line(self) -> str:
        """All of it in one line."""
        seconds = max(time.monotonic() - self._started, 1e-6)
        counts, cost = self._counts, self._cost()
        ended = counts["replied"] + counts["cached"] + counts["failed"]
        rate = counts["replied"] / seconds
        left = max(self._expected - ended, 0)
        known = counts["replied"] >= _REPLIES_FOR_A_GUESS and left
        eta = f", about {clock(left / rate)} left" if known else ""
        spent = "" if cost is None else f", cost {cost:.2f}"
        return (
            f"{counts['replied']} replies, {counts['cached']} from the ledger, {self._rejected} rejected, "
            f"{counts['failed']} failed, {counts['retried']} retried, {self._tokens} tokens{spent}, "
            f"{rate:.1f}/s{eta}{self._notice}"
        )


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


@contextmanager
def progress(
    options: GlobalOptions, *, expected: int, cost: Callable[[], float | None]
) -> Iterator[Tally]:
    """A tally to hand events to, shown while the block runs; `expected` asks at least are to come."""
    tally = Tally(expected, cost)
    if options.quiet:
        yield tally
    elif not sys.stderr.isatty():
        tally.show = now_and_then(_LINE_EVERY_S, lambda: sys.stderr.write(tally.line() + "\n"))
        yield tally
    else:
        from rich.console import Console
        from rich.status import Status

        with Status("starting", console=Console(stderr=True)) as status:
            tally.show = now_and_then(0.2, lambda: status.update(tally.line()))
            yield tally


def watched(options: GlobalOptions, items: Iterable[Item], things: str) -> Iterator[Item]:
    """The items, with a line on stderr now and then that says how many have gone by."""
    count = 0
    terminal = sys.stderr.isatty()
    show = now_and_then(
        0.2 if terminal else _LINE_EVERY_S,
        lambda: sys.stderr.write(f"{count:,} {things}" + ("\r" if terminal else "\n")),
    )
    for item in items:
        yield item
        count += 1
        if not options.quiet:
            show()
    if terminal and not options.quiet:
        sys.stderr.write("\x1b[K")  # the next line begins on an empty one


def now_and_then(every_s: float, show: Callable[[], object]) -> Callable[[], None]:
    """`show`, that does nothing when it was called less than `every_s` seconds ago."""
    last = time.monotonic()

    def shown() -> None:
        nonlocal last
        if time.monotonic() - last >= every_s:
            last = time.monotonic()
            show()

    return shown
