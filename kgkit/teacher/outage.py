"""Tell a service that is down from an ask that it cannot answer. Pure: it is told what happened and when."""

from collections import deque

from kgkit.teacher.protocol import TeacherError

_IN_A_ROW = 8
_ALL_OF_THEM = 3
_LONGEST_S = 540.0
"""What the first reply may take, and the most that any may because others were slow: an endpoint gives a call 600 s."""
_NOT_THE_ASKS_FAULT = ("connection", "rate_limited")


class Service:
    """What is known of the service from its last replies and failures. Times in seconds of one clock."""

    def __init__(self) -> None:
        self.down_since: float | None = None
        self.last_reply_at: float | None = None
        self.told_to_wait_until = 0.0
        self.last_error: TeacherError | None = None
        self._failed_in_a_row = 0
        self._failed_asks: set[str] = set()
        self._only_kinds = True
        self._seconds: deque[float] = deque(maxlen=512)

    @property
    def down(self) -> bool:
        """Whether it is taken to be down."""
        return self.down_since is not None

    def replied(self, *, now: float, seconds: float) -> None:
        """It answered an ask after `seconds`: it is up."""
        self.last_reply_at = now
        self.down_since = None
        self.told_to_wait_until = 0.0
        self._failed_in_a_row = 0
        self._failed_asks.clear()
        self._only_kinds = True
        self._seconds.append(seconds)

    def failed(self, ask_id: str, error: TeacherError, *, now: float, in_flight: int) -> None:
        """It failed on an ask while `in_flight` other calls were on their way.

        Down means: everything in flight failed in ways that are not the ask's fault, or so many failed in
        a row on different asks that it cannot be the asks.
        """
        self.last_error = error
        self._failed_in_a_row += 1
        if len(self._failed_asks) < _ALL_OF_THEM:
            self._failed_asks.add(ask_id)
        self._only_kinds = self._only_kinds and error.kind in _NOT_THE_ASKS_FAULT
        if error.retry_after_s is not None:
            self.told_to_wait_until = max(self.told_to_wait_until, now + error.retry_after_s)
        everything = self._failed_in_a_row >= _ALL_OF_THEM and self._only_kinds and in_flight == 0
        many = self._failed_in_a_row >= _IN_A_ROW and len(self._failed_asks) >= _ALL_OF_THEM
        if not self.down and (everything or many):
            self.down_since = now

    def fell_silent(self, *, now: float, oldest_sent_at: float, silence_s: float) -> bool:
        """Whether calls have been on their way for too long without any reply to any of them.

        Too long is `silence_s`, or ten times what replies take; before the first reply nobody knows what they take, and
        the server may still be loading its model.
        """
        quiet_s = now - max(self.last_reply_at or oldest_sent_at, oldest_sent_at)
        usual_s = _LONGEST_S if self.last_reply_at is None else 10 * self._p99_s()
        if self.down or quiet_s <= max(silence_s, min(usual_s, _LONGEST_S)):
            return False
        self.down_since = now
        self.last_error = TeacherError("timeout", f"no reply for {quiet_s:.0f} s", retryable=True)
        return True

    def given_up(self, *, now: float, patience_s: float) -> bool:
        """Whether it has been down for longer than `patience_s` beyond what it asked to wait itself."""
        if self.down_since is None:
            return False
        return now - max(self.down_since, self.told_to_wait_until) > patience_s

    def _p99_s(self) -> float:
        if not self._seconds:
            return 0.0
        ordered = sorted(self._seconds)
        return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
