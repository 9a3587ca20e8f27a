"""The one loop: plan -> ask -> parse -> merge.

A stage runs for one scope (one asset or one part of it) at a time. What it makes of the scope is a function of
the graph before it and of the replies in the ledger: it is written once, in the order of the plan, in the place of
all that it wrote for the scope before. So neither the order of replies nor an interruption leaves a trace.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from kgkit.errors import ContentError
from kgkit.graph.store import GraphStore
from kgkit.prompts import read_prompt
from kgkit.records import Ask, Failure, Reply, Subgraph
from kgkit.reviewed import Decided, Decisions, may_stand
from kgkit.stages import BadReply, Parser, RejectReason, Settled, Stage, union
from kgkit.teacher.ledger import Outcome

_WORTH_A_SECOND_TRY = frozenset(
    {
        "empty",
        "truncated",
        "refusal",
        "echo",
        "wrong shape",
        "repetitive",
        "verdict changed",
        "too few pairs",
        "too few entities",
        "refers to the article",
        "no evidence",
    }
)
SECOND_TRY = 1000
"""`Sampling.number` of a second try is this much more than that of the first."""


class Answers(Protocol):
    """Whoever turns asks into replies: the Asker (ledger first, then the teacher) or the ledger alone."""

    def answers(self, asks: Iterable[Ask]) -> AsyncIterator[tuple[Ask, Reply | Failure]]:
        """Every reply that the ledger holds, and those that can be had; in any order.

        An ask that does not come out was not asked (a budget was reached, the run was stopped): still to do.
        """


@dataclass(slots=True, kw_only=True)
class StageCounts:
    """What became of a stage's asks: planned = done + rejected + failed + pending, always.

    `left_out`: asks that were not planned because they would name a held-out asset; `decided`: those that an expert's
    decision made needless. `cached`: planned asks that the ledger already held. `dropped`: parts of replies that were
    done, such as one question of several.
    """

    planned: int = 0
    left_out: int = 0
    decided: int = 0
    done: int = 0
    cached: int = 0
    pending: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def nothing_came(self) -> bool:
        """Whether asks were planned and none of them has an end."""
        return 0 < self.planned == self.pending

    @property
    def rests_on_nothing(self) -> bool:
        """Whether there was nothing to ask about."""
        return not (self.planned or self.left_out or self.decided)

    def add(self, other: "StageCounts") -> None:
        """Add another scope's counts."""
        self.planned += other.planned
        self.left_out += other.left_out
        self.decided += other.decided
        self.done += other.done
        self.cached += other.cached
        self.pending += other.pending
        self.rejected.update(other.rejected)
        self.failed.update(other.failed)
        self.dropped.update(other.dropped)

    def as_json(self) -> dict[str, object]:
        """The counts as the command line prints them."""
        return {
            "planned": self.planned,
            "left_out": self.left_out,
            "decided": self.decided,
            "done": self.done,
            "cached": self.cached,
            "pending": self.pending,
            "rejected": dict(sorted(self.rejected.items())),
            "failed": dict(sorted(self.failed.items())),
            "dropped": dict(sorted(self.dropped.items())),
        }


@dataclass(slots=True, kw_only=True)
class StageRun:
    """A run of one stage over one scope."""

    counts: StageCounts
    outcomes: list[Outcome]


def open_asks(stage: Stage, graph: GraphStore) -> tuple[list[Ask], int]:
    """The plan of a stage without what an expert decided and without the asks that would name a held-out asset.

    And how many the latter are. Raises ContentError if a prompt renders the same text for two subjects: their replies
    could not be told apart.
    """
    plan = _plan(stage, graph)
    return list(plan.asks.values()), plan.left_out


@dataclass(slots=True)
class _Plan:
    """The asks by id, how many are left out or `needless` by experts' decisions; `decided`: those with a passage."""

    asks: dict[str, Ask] = field(default_factory=dict)
    left_out: int = 0
    needless: int = 0
    decided: list[Decided] = field(default_factory=list)
    decisions: Decisions | None = None


def _plan(stage: Stage, graph: GraphStore) -> _Plan:
    plan = _Plan()
    for ask in stage.plan(graph):
        plan.decisions = plan.decisions or Decisions(graph, ask.subject.asset)
        if any(stage.held_out.search(message.content) for message in ask.messages):
            plan.left_out += 1
        elif decided := plan.decisions.of(ask):
            plan.needless += 1
            if may_stand(decided.decision, stage.held_out):
                plan.decided.append(decided)
        elif plan.asks.setdefault(ask.id, ask).subject != ask.subject:
            raise ContentError(
                f"prompt {ask.prompt} renders the same text for {plan.asks[ask.id].subject} and {ask.subject}; "
                "it must name all that it is about"
            )
    return plan


@dataclass(slots=True)
class Progress:
    """What became of some asks, by the id of the first try; `accepted` has the try that was taken and what it says."""

    accepted: dict[str, tuple[Ask, Subgraph]] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    standing_for: dict[str, str] = field(default_factory=dict)  # second try -> the first
    asked_again: set[str] = field(default_factory=set)  # second tries that came out

    def reject(self, ask: Ask, reason: RejectReason) -> Iterator[Ask]:
        """Note that what `ask` brought is not taken; its second try where there is to be one."""
        first = self.standing_for.get(ask.id, ask.id)
        self.accepted.pop(first, None)
        self.rejected[first] = reason
        if reason in _WORTH_A_SECOND_TRY and first == ask.id:
            second = second_try(ask)
            self.standing_for[second.id] = first
            yield second

    def reopen(self, second_tries: Iterable[Ask]) -> None:
        """Those that were not asked leave their first try without an end: it is not rejected yet."""
        for ask in second_tries:
            if ask.id not in self.asked_again:
                self.rejected.pop(self.standing_for[ask.id], None)

    def pending(self, asks: Iterable[Ask]) -> list[Ask]:
        """The asks that have no end yet."""
        ended = self.accepted.keys() | self.rejected.keys() | self.failed.keys()
        return [ask for ask in asks if ask.id not in ended]


async def run_stage(
    stage: Stage,
    *,
    graph: GraphStore,
    answers: Answers,
    in_graph_thread: "GraphThread",
    needs_all: bool = False,
    needs_one: bool = False,
) -> StageRun:
    """Run one stage over its scope: plan, ask, parse, ask unusable replies once more, write.

    With `needs_all` nothing is written while an ask is still to do or failed, with `needs_one` nothing while none of the
    asks has an end: the graph stays as it was.
    """
    plan = await in_graph_thread(lambda: _plan(stage, graph))
    asks = list(plan.asks.values())
    progress, settled = await ask_all(stage, asks, answers)
    pending = progress.pending(asks)
    nothing_came = 0 < len(asks) == len(pending)
    if not (needs_all and (pending or progress.failed)) and not (needs_one and nothing_came):
        await in_graph_thread(lambda: _write(stage, graph, settled.subgraph, plan))
    return StageRun(
        counts=StageCounts(
            planned=len(asks),
            left_out=plan.left_out,
            decided=plan.needless,
            done=len(progress.accepted),
            pending=len(pending),
            rejected=Counter(progress.rejected.values()),
            failed=Counter(progress.failed.values()),
            dropped=Counter(settled.dropped),
        ),
        outcomes=_outcomes(asks, progress),
    )


async def ask_all(parser: Parser, asks: list[Ask], answers: Answers) -> tuple[Progress, Settled]:
    """Ask and parse, unusable replies once more; the graph is not touched."""
    progress = Progress()
    again = await _collect(parser, asks, answers, progress)
    while True:
        await _collect(parser, again, answers, progress)
        progress.reopen(again)
        settled, again = _settle(parser, asks, progress)
        if not again:
            return progress, settled


async def _collect(
    parser: Parser, asks: list[Ask], answers: Answers, progress: Progress
) -> list[Ask]:
    """Ask and parse; second tries of what is worth one are returned, in the order of their ids."""
    again: list[Ask] = []
    async for ask, result in answers.answers(asks):
        first = progress.standing_for.get(ask.id, ask.id)
        if first != ask.id:
            progress.asked_again.add(ask.id)
        if isinstance(result, Failure):
            progress.rejected.pop(first, None)
            progress.failed[first] = result.kind
            continue
        try:
            subgraph = parser.parse(ask, result)
        except BadReply as bad:
            again += progress.reject(ask, bad.reason)
        else:
            progress.rejected.pop(first, None)
            progress.accepted[first] = (ask, subgraph)
    return sorted(again, key=lambda ask: ask.id)


def second_try(ask: Ask) -> Ask:
    """The ask that is sent once more, with another sample, when the reply cannot be used."""
    sampling = read_prompt(ask.prompt).sampling(
        number=ask.sampling.number + SECOND_TRY, top_logprobs=ask.sampling.top_logprobs
    )
    return replace(ask, sampling=sampling)


def _settle(parser: Parser, asks: list[Ask], progress: Progress) -> tuple[Settled, list[Ask]]:
    """The accepted replies as one subgraph, in the order of the plan; what settling drops becomes rejected.

    And the second tries of what is worth one.
    """
    ended = [progress.accepted[ask.id] for ask in asks if ask.id in progress.accepted]
    settled = parser.settle(ended)
    again: list[Ask] = []
    for answered, _ in ended:
        if reason := settled.rejected.get(answered.id):
            again += progress.reject(answered, reason)
    return settled, again


def _write(stage: Stage, graph: GraphStore, subgraph: Subgraph, plan: _Plan) -> None:
    """Merge, experts' words before the teacher's; withdraw what this stage wrote earlier and no longer says."""
    if plan.decisions:
        own = plan.decisions.passages(plan.decided)
        subgraph = union([plan.decisions.settle(subgraph, held_out=stage.held_out), *own])
    graph.merge(subgraph)
    said = {node.key for node in subgraph.nodes}, {edge.key for edge in subgraph.edges}
    nodes, edges = stage.written(graph)
    graph.delete(
        nodes=[key for key in nodes if key not in said[0]],
        edges=[key for key in edges if key not in said[1]],
    )


def _outcomes(asks: list[Ask], progress: Progress) -> list[Outcome]:
    outcomes = []
    for ask in asks:
        if ask.id in progress.accepted:
            outcomes.append(Outcome(ask_id=progress.accepted[ask.id][0].id, status="accepted"))
        elif ask.id in progress.rejected:
            outcomes.append(
                Outcome(ask_id=ask.id, status="rejected", reason=progress.rejected[ask.id])
            )
    return outcomes


_T = TypeVar("_T")


class GraphThread:
    """Runs graph calls one at a time outside the event loop, so that asks go on while the graph is written."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def __call__(self, call: Callable[[], _T]) -> _T:
        """Run `call` in a thread; no two at once."""
        async with self._lock:
            return await asyncio.to_thread(call)
