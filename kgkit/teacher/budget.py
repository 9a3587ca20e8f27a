"""What a run may spend. Reserved before a call is sent, settled when it ends, so that caps hold."""

import asyncio
from dataclasses import dataclass

from kgkit.errors import UsageError
from kgkit.records import Ask, Reply

_CHARACTERS_PER_TOKEN = 3.0  # low for English (about 4), so that a reservation is rather too high


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Calls, tokens and money (in the currency of the prices)."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            calls=self.calls + other.calls,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
            cost=self.cost + other.cost,
        )

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(
            calls=self.calls - other.calls,
            tokens_in=self.tokens_in - other.tokens_in,
            tokens_out=self.tokens_out - other.tokens_out,
            cost=self.cost - other.cost,
        )


class Budget:
    """Caps on one run; None is no cap. Prices are per million tokens.

    Raises UsageError if `max_cost` is given without both prices: an unknown price is not 0.
    """

    def __init__(
        self,
        *,
        max_calls: int | None = None,
        max_tokens: int | None = None,
        max_cost: float | None = None,
        price_in: float | None = None,
        price_out: float | None = None,
    ) -> None:
        if max_cost is not None and (price_in is None or price_out is None):
            raise UsageError(
                "--max-cost needs the prices of the teacher: add --price-in and --price-out "
                "(per million tokens), or use --max-tokens"
            )
        self.max_calls = max_calls
        self.max_tokens = max_tokens
        self.max_cost = max_cost
        self.price_in = price_in
        self.price_out = price_out
        self.spent = Amount()
        self.exhausted = False
        """A call was not sent because it could have gone beyond a cap."""
        self._closed = False
        self._reserved = Amount()
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def cost_known(self) -> bool:
        """Whether `spent.cost` means anything."""
        return self.price_in is not None and self.price_out is not None

    def expected(self, ask: Ask) -> Amount:
        """The most that one call for `ask` is expected to take."""
        characters = sum(len(message.content) for message in ask.messages)
        calls = len(ask.continuations) or 1  # each is scored after the whole prompt
        characters = calls * characters + sum(map(len, ask.continuations))
        tokens_in = int(characters / _CHARACTERS_PER_TOKEN) + 8 * calls * len(ask.messages)
        return self._amount(tokens_in, ask.sampling.max_tokens)

    async def reserve(self, ask: Ask) -> Amount | None:
        """Set aside what `ask` may take. Waits while calls in flight may still give something back.

        None: it does not fit (the budget is exhausted), or the asking has ended.
        """
        need = self.expected(ask)
        while not (self.exhausted or self._closed):
            if self._fits(self.spent + self._reserved + need):
                self._reserved += need
                return need
            if self._reserved.calls == 0:
                self.exhausted = True
                self._wake()
                break
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        return None

    def settle(self, reserved: Amount, reply: Reply) -> None:
        """A call was answered: what it took counts."""
        self._reserved -= reserved
        self.spent += self._amount(reply.tokens_in, reply.tokens_out)
        self._wake()

    def give_back(self, reserved: Amount, *, call_counts: bool) -> None:
        """A call was not answered; it counts as a call unless the service refused to take it."""
        self._reserved -= reserved
        if call_counts:
            self.spent += Amount(calls=1)
        self._wake()

    def open(self) -> None:
        """A run begins to spend; an earlier one of the same command may have closed."""
        self._closed = False

    def close(self) -> None:
        """Nothing more is reserved: whoever waits gets None."""
        self._closed = True
        self._wake()

    def _amount(self, tokens_in: int, tokens_out: int) -> Amount:
        cost = tokens_in * (self.price_in or 0.0) + tokens_out * (self.price_out or 0.0)
        return Amount(calls=1, tokens_in=tokens_in, tokens_out=tokens_out, cost=cost / 1e6)

    def _fits(self, total: Amount) -> bool:
        return not (
            (self.max_calls is not None and total.calls > self.max_calls)
            or (
                self.max_tokens is not None and total.tokens_in + total.tokens_out > self.max_tokens
            )
            or (self.max_cost is not None and total.cost > self.max_cost)
        )

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)
