"""A run with a teacher: bring the graph up to date, ask, keep what came back, sum up. Interrupt it at any moment."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

from kgkit import derive
from kgkit.derive import Derivation
from kgkit.errors import UsageError
from kgkit.expand.facts import reference_facts
from kgkit.expand.run import Expansion, expand, stages_of
from kgkit.expand.scope import Assets, Options, Scope
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.records import Ask, Failure, Reply
from kgkit.settings import Settings
from kgkit.stages import SECOND_TRY, BadReply, Stage, StageCounts, StageRun, open_asks
from kgkit.teacher.asking import Asker, Event
from kgkit.teacher.budget import Budget
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.open import open_teacher
from kgkit.teacher.protocol import Teacher
from kgkit.teacher.reference import NAME as REFERENCE


@dataclass(slots=True, kw_only=True)
class RunReport:
    """What a run did. `nodes` and `edges` count the whole graph afterwards, by label and type."""

    teacher: str
    assets: list[str]
    stages: dict[str, StageCounts] = field(default_factory=dict)
    nodes: dict[str, int] = field(default_factory=dict)
    edges: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None
    stopped: Literal["budget", "interrupted"] | None = None
    cut_short: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """130 interrupted; 5 a budget was reached, something failed, or nothing at all was accepted; else 0."""
        if self.stopped == "interrupted":
            return 130
        planned = sum(counts.planned for counts in self.stages.values())
        done = sum(counts.done for counts in self.stages.values())
        failed = any(counts.failed for counts in self.stages.values())
        return 5 if self.stopped or failed or (planned and not done) else 0

    def as_json(self) -> dict[str, object]:
        """The report as the command line prints it."""
        return {
            "teacher": self.teacher,
            "assets": self.assets,
            "stages": {name: counts.as_json() for name, counts in self.stages.items()},
            "nodes": self.nodes,
            "edges": self.edges,
            "passages": self.nodes.get("Passage", 0),
            "calls": self.calls,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "cost": self.cost,
            "stopped": self.stopped,
            "cut_short": self.cut_short,
        }


@dataclass(slots=True, kw_only=True)
class PlannedStage:
    """What a stage would ask now: how many asks, how many of them are in the ledger; of the others tokens at most.

    `left_out`: asks that would name a held-out asset.
    """

    asks: int = 0
    cached: int = 0
    left_out: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One ask of a preview with what came back and the verdict on it."""

    ask: Ask
    reply: str
    verdict: str


def teacher_for(derivation: Derivation, *, uri: str, model: str, settings: Settings) -> Teacher:
    """The teacher that `uri` names; the reference teacher knows this graph's tables."""
    return open_teacher(
        uri,
        model=model,
        settings=settings,
        ledger=derivation.ledger,
        facts=lambda: reference_facts(derivation.graph, derivation.assets()),
    )


def scopes_for(
    derivation: Derivation, names: Iterable[str], options: Options, *, all_assets: bool
) -> dict[str, Scope]:
    """The scopes of the assets that were named, by what was typed; with `all_assets` every asset that is open.

    Raises UsageError for an unknown or held-out asset, or if nothing or both is asked for.
    """
    assets, typed = derivation.assets(), list(names)
    if bool(typed) == all_assets:
        raise UsageError("name assets, as in --asset pump, or take them --all; one of the two")
    if all_assets:
        return {id_: assets.scope(id_, options) for id_ in assets.rows if assets.is_open(id_)}
    found: dict[str, Scope] = {}
    for name in typed:
        scope = assets.scope(assets.find(name).id, options)
        if scope.asset not in {other.asset for other in found.values()}:
            found[name] = scope
    return found


def expand_assets(
    derivation: Derivation,
    scopes: list[Scope],
    *,
    teacher: Teacher,
    budget: Budget,
    on_event: Callable[[Event], None],
    on_rejects: Callable[[int], None] = lambda _: None,
) -> RunReport:
    """Phase I over `scopes`. What the ledger holds is not asked again; the graph is as if never interrupted.

    `on_rejects` is told how many replies each stage did not accept. Raises ServiceError when the teacher refuses or
    stays away: everything answered before is kept.
    """
    hooks = _Hooks(derivation=derivation, teacher=teacher, on_event=on_event, on_rejects=on_rejects)
    ledger = derivation.ledger

    async def run() -> tuple[Expansion, str | None]:
        async with (
            _closing(teacher),
            Asker(teacher, ledger, budget=budget, on_event=hooks.event) as asker,
        ):
            with _stopped_by_signals(asker.stop):
                expansion = await expand(
                    scopes,
                    assets=derivation.assets(),
                    graph=derivation.graph,
                    profile=teacher,
                    answers=asker,
                    on_stage=hooks.stage,
                    stopped=lambda: asker.ended is not None or budget.exhausted,
                )
            return expansion, asker.ended

    run_id = ledger.start_run(
        "expand", {"assets": [scope.asset for scope in scopes], "teacher": teacher.name}
    )
    derive.begin_change(derivation)
    expansion, ended = asyncio.run(run())
    derive.end_change(derivation)
    for name, counts in expansion.stages.items():
        counts.cached = hooks.cached[name]
    held = reading.counts(derivation.graph)
    report = RunReport(
        teacher=teacher.name,
        assets=[scope.asset for scope in scopes],
        stages=expansion.stages,
        nodes=dict(held.nodes),
        edges=dict(held.edges),
        calls=budget.spent.calls,
        tokens_in=budget.spent.tokens_in,
        tokens_out=budget.spent.tokens_out,
        cost=budget.spent.cost if budget.cost_known else None,
        stopped="interrupted" if ended == "interrupted" else "budget" if budget.exhausted else None,
        cut_short=sorted(expansion.cut_short),
    )
    ledger.finish_run(run_id, report.as_json())
    return report


@dataclass(slots=True, kw_only=True)
class _Hooks:
    """What is noted while a run goes on."""

    derivation: Derivation
    teacher: Teacher
    on_event: Callable[[Event], None]
    on_rejects: Callable[[int], None]
    cached: Counter[str] = field(default_factory=Counter)
    grown: bool = False

    def event(self, event: Event) -> None:
        """Count first tries that the ledger held; other stores are behind from the first call on."""
        if (
            event.kind == "cached"
            and event.ask is not None
            and event.ask.sampling.number < SECOND_TRY
        ):
            self.cached[event.ask.stage] += 1
        self._grow(event.kind == "sent")
        self.on_event(event)

    def stage(self, scope: Scope, stage: Stage, run: StageRun) -> None:
        """Keep what became of a stage's replies; record the scope once its discovery has an end."""
        derive.outcomes_to(self.derivation.ledger)(scope, stage, run)
        self.on_rejects(sum(run.counts.rejected.values()))
        if stage.name == "discover":
            self._grow(derive.record_scope(self.derivation.ledger, scope, self.teacher))

    def _grow(self, grows: bool) -> None:  # noqa: FBT001 - one thing, private
        if grows and not self.grown:
            self.grown = True
            derive.ledger_grows(self.derivation)


def plan_expansion(
    derivation: Derivation, scopes: Iterable[Scope], *, teacher: Teacher
) -> dict[str, PlannedStage]:
    """What `expand_assets` would ask as the graph stands now, by stage. Sends nothing.

    Sensors that are still to be discovered are unknown, so the asks about them are not in it; nor is equipment that
    only the teacher's answers lead to.
    """
    graph, assets, budget = derivation.graph, derivation.assets(), Budget()
    planned: dict[str, PlannedStage] = {}
    for scope in _with_parts(scopes, assets, graph):
        for stage in stages_of(scope, teacher, assets):
            asks, left_out = open_asks(stage, graph)
            held = derivation.ledger.known(ask.id for ask in asks)
            sums = planned.setdefault(stage.name, PlannedStage())
            sums.asks += len(asks)
            sums.cached += len(held)
            sums.left_out += left_out
            for ask in asks:
                if ask.id not in held:
                    most = budget.expected(ask)
                    sums.tokens_in += most.tokens_in
                    sums.tokens_out += most.tokens_out
    return planned


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


@contextlib.asynccontextmanager
async def _closing(teacher: Teacher) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await teacher.close()


def preview(
    derivation: Derivation, scopes: list[Scope], *, teacher: Teacher, count: int, budget: Budget
) -> list[Preview]:
    """Ask the first `count` asks, some of each stage, and judge the replies. The graph stays as it is."""
    stages = [
        (s, open_asks(s, derivation.graph)[0])
        for scope in scopes
        for s in stages_of(scope, teacher, derivation.assets())
    ]
    taking_turns = [
        (stage, asks[place])
        for place in range(max((len(asks) for _, asks in stages), default=0))
        for stage, asks in stages
        if place < len(asks)
    ]
    chosen = list(islice(taking_turns, count))
    by_id = {ask.id: stage for stage, ask in chosen}

    async def run() -> list[tuple[Ask, Reply | Failure]]:
        async with _closing(teacher), Asker(teacher, derivation.ledger, budget=budget) as asker:
            return [pair async for pair in asker.answers(ask for _, ask in chosen)]

    results = {ask.id: (ask, result) for ask, result in asyncio.run(run())}
    return [_judged(by_id[ask.id], *results[ask.id]) for _, ask in chosen if ask.id in results]


def _judged(stage: Stage, ask: Ask, result: Reply | Failure) -> Preview:
    if isinstance(result, Failure):
        return Preview(ask=ask, reply="", verdict=f"failed: {result.kind}: {result.message}")
    try:
        stage.parse(ask, result)
    except BadReply as bad:
        return Preview(ask=ask, reply=result.text, verdict=f"rejected: {bad}")
    return Preview(ask=ask, reply=result.text, verdict="accepted")


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM call `stop` while the block runs: calls in flight end, nothing new is sent."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    try:
        for number in signals:
            loop.add_signal_handler(number, stop)
    except (NotImplementedError, RuntimeError):  # Windows, or not the main thread
        yield
        return
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


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
