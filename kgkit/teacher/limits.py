"""How many calls are in flight: additive increase while it pays, multiplicative decrease when told to slow down."""

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass

_SMALLEST_ROUND = 16
_STRAY = 0.15


class Clock:
    """Seconds that pass. Every wait of the asking goes through it, so that tests can make time run faster."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def real_s(self, seconds: float) -> float:
        """How long to really wait for `seconds` to pass."""
        return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How patient the asking is. Only waits and bounds: no value here can change a reply."""

    attempts: int = 8
    """Tries per ask, counting only those that failed while the service was answering others."""
    backoff_first_s: float = 0.5
    backoff_max_s: float = 60.0
    patience_s: float = 600.0
    """How long an outage is sat out before the run stops, resumable."""
    drain_s: float = 10.0
    """How long calls in flight may go on after a stop."""
    max_concurrency: int = 512

    def backoff_s(self, tries: int) -> float:
        """A wait before the next try, with full jitter."""
        longest = min(self.backoff_max_s, self.backoff_first_s * 2.0 ** min(tries, 20))
        return random.uniform(0.0, longest)  # noqa: S311


class Limiter:
    """Hands out slots, first come first served; `limit` adapts between 1 and `most`.

    It grows by one per round of calls while slots are short and replies do not get slower (a server whose
    replies slow down in step with the load only queues). It shrinks by a third when more than a stray few
    calls of a round were told to slow down; calls sent before that are not held against the new limit.
    """

    def __init__(self, start: int, most: int) -> None:
        self.limit = float(max(1, min(start, most)))
        self.in_flight = 0
        self.paused = False
        """While paused nothing is handed out but single `probes`."""
        self._most = most
        self._ended = False
        self._probes = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._round = _Round()
        self._fastest_s = float("inf")
        self._sent_before = 0

    async def acquire(self) -> bool:
        """Wait for a slot. False: the asking has ended, there is none."""
        if self._ended:
            return False
        if not self._waiting and self._take():
            return True
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.release()
            raise

    def release(self) -> None:
        """Give a slot back."""
        self.in_flight -= 1
        self._wake()

    def replied(self, seconds: float) -> None:
        """A call was answered after `seconds`: perhaps more can be in flight."""
        if self._of_old_limit():
            return
        self._round.replies += 1
        self._round.seconds += seconds
        self._round.full = self._round.full or self.in_flight >= int(self.limit)
        if self._round.replies < max(self.limit, _SMALLEST_ROUND):
            return
        done, self._round = self._round, _Round()
        mean_s = done.seconds / done.replies
        self._fastest_s = min(self._fastest_s * 1.01, mean_s)
        if done.full and mean_s <= 1.5 * self._fastest_s:
            self.limit = min(float(self._most), self.limit + 1)
            self._wake()

    def overloaded(self) -> None:
        """The server said so, or did not answer in time: perhaps fewer should be in flight."""
        if self._of_old_limit():
            return
        self._round.overloads += 1
        if self._round.overloads > _STRAY * max(self.limit, _SMALLEST_ROUND):
            self._sent_before = self.in_flight
            self.limit = max(1.0, self.limit * 2 / 3)
            self._round = _Round()

    def pause(self) -> None:
        """Hand out nothing more until `resume`, but single probes."""
        self.paused = True

    def probe(self) -> None:
        """Let one call through while paused."""
        self._probes = 1
        self._wake()

    def resume(self) -> None:
        """Hand out slots again."""
        self.paused = False
        self._wake()

    def end(self) -> None:
        """Nobody gets a slot any more."""
        self._ended = True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(False)

    def _of_old_limit(self) -> bool:
        self._sent_before = max(0, self._sent_before - 1)
        return self._sent_before > 0

    def _take(self) -> bool:
        if self.paused:
            if self._probes == 0:
                return False
            self._probes -= 1
        elif self.in_flight >= int(self.limit):
            return False
        self.in_flight += 1
        return True

    def _wake(self) -> None:
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
            elif self._take():
                self._waiting.popleft().set_result(True)
            else:
                return


@dataclass(slots=True)
class _Round:
    """The calls that ended since the limit last had a chance to move."""

    replies: int = 0
    overloads: int = 0
    seconds: float = 0.0
    full: bool = False
