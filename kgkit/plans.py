"""What a run would ask as the graph stands now, and a few of its asks tried out."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from kgkit import derive, withdrawn
from kgkit.derive import Derivation
from kgkit.expand.run import stages_of
from kgkit.expand.scope import Assets, Scope
from kgkit.extend.options import ExtendOptions, Kind
from kgkit.extend.run import TO_COME, stage_of
from kgkit.graph.store import GraphStore
from kgkit.loop import open_asks, second_try
from kgkit.records import Ask, Failure, Reply
from kgkit.rests import with_derived
from kgkit.runs import closing
from kgkit.stages import BadReply, Stage
from kgkit.teacher.asking import Asker, Event
from kgkit.teacher.budget import Budget
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.protocol import Teacher
from kgkit.teacher.reference import NAME as REFERENCE
from kgkit.withdrawn import Said

_RESTS_ON: Mapping[Kind, Kind] = {
    "raft": "qa",
    "entity-centric": "entities",
    "interaction-centric": "entities",
}
LISTED = 1_000
"""Asks to send that a plan names, of each stage."""


@dataclass(slots=True, kw_only=True)
class PlannedStage:
    """What a stage would ask now: how many asks, how many of them are in the ledger; of the others tokens at most.

    `cached` counts asks, too, that are the same as an earlier one of the plan: assets that share a term share its description.
    `left_out`: asks that would name a held-out asset. `to_come`: asks more, at most, that rest on replies still to come;
    the tokens hold these too. `to_send`: the first LISTED of those that are not in the ledger. `to_withdraw`: what stands
    in the graph and a whole run would take away, with what was made from it.
    """

    asks: int = 0
    cached: int = 0
    left_out: int = 0
    to_come: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    to_send: list[Ask] = field(default_factory=list)
    to_withdraw: dict[str, Said] = field(default_factory=dict)

    def add(self, other: "PlannedStage") -> None:
        """Add another scope's plan."""
        self.asks += other.asks
        self.cached += other.cached
        self.left_out += other.left_out
        self.to_come += other.to_come
        self.tokens_in += other.tokens_in
        self.tokens_out += other.tokens_out
        self.to_send = [*self.to_send, *other.to_send][:LISTED]
        self.to_withdraw |= other.to_withdraw


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One ask of a preview with what came back and the verdict on it."""

    ask: Ask
    reply: str
    verdict: str


def plan_expansion(
    derivation: Derivation, scopes: Iterable[Scope], *, teacher: Teacher
) -> dict[str, PlannedStage]:
    """What `expand_assets` would ask as the graph stands now, by stage. Sends nothing.

    Sensors that are still to be discovered are unknown, so the asks about them are not in it; nor is equipment that
    only the teacher's answers lead to.
    """
    assets = derivation.assets()
    return _planned(
        derivation,
        (
            stage
            for scope in _with_parts(scopes, assets, derivation.graph)
            for stage in stages_of(scope, teacher, assets)
        ),
        withdrawn.standing(derivation.graph),
        set(),
    )


def plan_extension(
    derivation: Derivation,
    scopes: Iterable[Scope],
    *,
    options: ExtendOptions,
    teacher: Teacher,
) -> dict[str, PlannedStage]:
    """What `extend_assets` would ask, by kind, the whole fan-out. Sends nothing.

    A kind that builds on replies which are still to come (raft on qa, the last two on entities) is planned on those
    that are there; `to_come` is how many asks more there are at most, with their tokens.
    """
    planned: dict[str, PlannedStage] = {}
    stood = withdrawn.standing(derivation.graph)
    to_send: set[str] = set()
    for scope in scopes:
        some = _planned(
            derivation,
            (stage_of(kind, scope, teacher, options) for kind in options.ordered()),
            stood,
            to_send,
        )
        for kind in options.ordered():
            some[kind].add(_to_come(derivation, kind, scope, teacher, options))
            planned.setdefault(kind, PlannedStage()).add(some[kind])
    return planned


def _to_come(
    derivation: Derivation, kind: Kind, scope: Scope, teacher: Teacher, options: ExtendOptions
) -> PlannedStage:
    sums = PlannedStage()
    if kind in TO_COME:
        budget = Budget()
        base = stage_of(_RESTS_ON[kind], scope, teacher, options)
        ended = _rejected(derivation, base, scope)
        for like, count in TO_COME[kind](derivation.graph, scope, teacher, options):
            if like.subject.parent in ended:
                continue
            most = budget.expected(like)
            sums.to_come += count
            sums.tokens_in += most.tokens_in * count
            sums.tokens_out += most.tokens_out * count
    return sums


def _rejected(derivation: Derivation, stage: Stage, scope: Scope) -> set[str | None]:
    """The documents whose reply to this stage was rejected for good: nothing is to come of them."""
    outcomes = derivation.ledger.outcomes(asset=scope.asset)
    ended = {one.id for one in outcomes if one.status == "rejected"}
    asks, _ = open_asks(stage, derivation.graph)
    return {ask.subject.parent for ask in asks if ask.id in ended}


def _planned(
    derivation: Derivation, stages: Iterable[Stage], stood: Mapping[str, Said], to_send: set[str]
) -> dict[str, PlannedStage]:
    """The stages' plans. `to_send` holds what earlier stages send and is added to."""
    budget = Budget()
    planned: dict[str, PlannedStage] = {}
    for stage in stages:
        asks, left_out = open_asks(stage, derivation.graph)
        held = derivation.ledger.known(ask.id for ask in asks)
        missing = [ask for ask in asks if ask.id not in held and ask.id not in to_send]
        to_send.update(ask.id for ask in missing)
        most = [budget.expected(ask) for ask in missing]
        one = PlannedStage(
            asks=len(asks),
            cached=len(asks) - len(missing),
            left_out=left_out,
            tokens_in=sum(tokens.tokens_in for tokens in most),
            tokens_out=sum(tokens.tokens_out for tokens in most),
            to_send=missing[:LISTED],
            to_withdraw=_to_withdraw(derivation.graph, stage, asks, stood),
        )
        planned.setdefault(stage.name, PlannedStage()).add(one)
    return planned


def _to_withdraw(
    graph: GraphStore, stage: Stage, asks: list[Ask], stood: Mapping[str, Said]
) -> dict[str, Said]:
    """What the stage wrote earlier and would no longer ask for, and all that was made from that."""
    nodes, edges = stage.written(graph)
    ids = [*(withdrawn.id_of(key) for key in nodes), *(withdrawn.id_of(key) for key in edges)]
    written = [stood[id_] for id_ in ids if id_ in stood]
    wanted = {ask.id for ask in asks}
    leaving = [one for one in written if one.ask and one.ask not in wanted]
    if leaving:
        wanted = {second_try(ask).id for ask in asks}
        leaving = [one for one in leaving if one.ask not in wanted]
    nodes_leaving = [one.id for one in leaving if "|" not in one.id]
    passages = set(with_derived(nodes_leaving, graph)) if nodes_leaving else set()
    found = {one.id: one for one in leaving}
    for one in stood.values() if passages else ():
        mentions = one.kind == "MENTIONS" and one.id.split("|")[1] in passages
        if mentions or one.id in passages:
            found[one.id] = one
    return found


def _with_parts(scopes: Iterable[Scope], assets: Assets, graph: GraphStore) -> Iterator[Scope]:
    """The scopes and, from depth 2 on, their parts as the graph knows them; each once."""
    seen: set[str] = set()
    waiting = list(scopes)
    while waiting:
        scope = waiting.pop(0)
        if scope.key.id in seen:
            continue
        seen.add(scope.key.id)
        yield scope
        if scope.part is None and scope.options.depth > 1:
            deeper = replace(scope, options=replace(scope.options, depth=scope.options.depth - 1))
            waiting += assets.next_scopes(deeper, graph, [])


def preview(
    derivation: Derivation,
    stages: Iterable[Stage],
    *,
    teacher: Teacher,
    count: int,
    budget: Budget,
) -> list[Preview]:
    """Ask the first `count` asks, some of each stage, and judge the replies.

    The graph stays as it is, but for scopes that were expanded before: these hold what the ledger now says.
    """
    planned = [(stage, open_asks(stage, derivation.graph)[0]) for stage in stages]
    taking_turns = [
        (stage, asks[place])
        for place in range(max((len(asks) for _, asks in planned), default=0))
        for stage, asks in planned
        if place < len(asks)
    ]
    chosen = list(islice(taking_turns, count))
    by_id = {ask.id: stage for stage, ask in chosen}

    grown: set[str] = set()

    def grow(event: Event) -> None:
        if event.kind == "sent" and not grown:
            grown.add(event.kind)
            derive.ledger_grows(derivation)

    async def run() -> list[tuple[Ask, Reply | Failure]]:
        asker_ = Asker(teacher, derivation.ledger, budget=budget, on_event=grow)
        async with closing(teacher), asker_ as asker:
            return [pair async for pair in asker.answers(ask for _, ask in chosen)]

    results = {ask.id: (ask, result) for ask, result in asyncio.run(run())}
    derive.bring_up_to_date(derivation)
    return [_judged(by_id[ask.id], *results[ask.id]) for _, ask in chosen if ask.id in results]


def _judged(stage: Stage, ask: Ask, result: Reply | Failure) -> Preview:
    if isinstance(result, Failure):
        return Preview(ask=ask, reply="", verdict=f"failed: {result.kind}: {result.message}")
    try:
        stage.parse(ask, result)
    except BadReply as bad:
        return Preview(ask=ask, reply=result.text, verdict=f"rejected: {bad}")
    return Preview(ask=ask, reply=result.text, verdict="accepted")


def seconds_for(ledger: Ledger, teacher: Teacher, calls: int) -> float | None:
    """About how long `calls` calls take, from earlier replies; None if there are none."""
    if teacher.name == REFERENCE or calls == 0:
        return 0.0
    average = ledger.average_seconds()
    return None if average is None else calls * average / teacher.concurrency


def undiscovered(planned: dict[str, PlannedStage]) -> int:
    """How many scopes have no sensors from this teacher yet: what they will lead to is not in the plan."""
    discover = planned.get("discover")
    return discover.asks - discover.cached if discover else 0
