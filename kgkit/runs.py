"""A run with a teacher: bring the graph up to date, ask, keep what came back, sum up. Interrupt it at any moment."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from kgkit import derive, replay, withdrawn
from kgkit.derive import Derivation
from kgkit.errors import UsageError
from kgkit.expand.facts import reference_facts
from kgkit.expand.run import expand
from kgkit.expand.scope import Options, Scope
from kgkit.extend.feed_back import find
from kgkit.extend.options import EVERY_KIND, ExtendOptions, Kind
from kgkit.extend.resolve import settle_entities
from kgkit.extend.run import extend
from kgkit.graph import reading
from kgkit.loop import SECOND_TRY, StageCounts, StageRun
from kgkit.settings import Settings
from kgkit.stages import Stage
from kgkit.teacher.asking import Asker, Event
from kgkit.teacher.budget import Budget
from kgkit.teacher.open import open_teacher
from kgkit.teacher.protocol import Teacher


@dataclass(slots=True, kw_only=True)
class RunReport:
    """What a run did. `nodes` and `edges` count the whole graph afterwards, by label and type.

    `on_nothing`: the assets for which a kind of Phase II had nothing to ask about, by kind.
    """

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
    on_nothing: dict[Kind, list[str]] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """130 interrupted; 5 a budget was reached, something failed, a kind had nothing to ask or nothing came; else 0."""
        if self.stopped == "interrupted":
            return 130
        planned = sum(counts.planned for counts in self.stages.values())
        done = sum(counts.done for counts in self.stages.values())
        failed = any(counts.failed for counts in self.stages.values())
        idle = any(self.stages[kind].rests_on_nothing for kind in self.on_nothing)
        return 5 if self.stopped or failed or idle or (planned and not done) else 0

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
            "on_nothing": self.on_nothing,
        }


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
    derivation: Derivation,
    names: Iterable[str],
    options: Options,
    *,
    all_assets: bool,
    held_out: bool = False,
) -> dict[str, Scope]:
    """The scopes of the assets that were named, by what was typed; with `all_assets` every asset that is open.

    And with `held_out` those that are held out. Raises UsageError for an unknown or (without `held_out`) held-out asset, or
    if nothing or both is asked for.
    """
    assets, typed = derivation.assets(), list(names)
    if bool(typed) == all_assets:
        raise UsageError("name assets, as in --asset pump, or take them --all; one of the two")

    def scope_of(id_: str) -> Scope:
        described = held_out and assets.is_held_out(id_)
        return assets.held_out_scope(id_) if described else assets.scope(id_, options)

    if all_assets:
        ids = (id_ for id_ in assets.rows if assets.is_open(id_) or assets.is_held_out(id_))
        return {id_: scope_of(id_) for id_ in ids if held_out or assets.is_open(id_)}
    found: dict[str, Scope] = {}
    for name in typed:
        scope = scope_of(assets.find(name).id)
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

    What Phase II made of their documents is made again from the ledger. `on_rejects` is told how many replies each
    stage did not accept. Raises ServiceError when the teacher refuses or stays away: everything answered before is kept.
    """
    hooks = _Hooks(derivation=derivation, teacher=teacher, on_event=on_event, on_rejects=on_rejects)

    async def work(asker: Asker) -> _Done:
        expansion = await expand(
            scopes,
            assets=derivation.assets(),
            graph=derivation.graph,
            profile=teacher,
            answers=asker,
            on_stage=hooks.stage,
            stopped=lambda: asker.ended is not None or budget.exhausted,
        )
        await _extensions(derivation, hooks.touched, but=set())
        return _Done(stages=expansion.stages, cut_short=expansion.cut_short)

    arguments = {"assets": [scope.asset for scope in scopes], "teacher": teacher.name}
    return _run("expand", arguments, work, hooks=hooks, scopes=scopes, budget=budget)


def extend_assets(
    derivation: Derivation,
    scopes: list[Scope],
    *,
    options: ExtendOptions,
    teacher: Teacher,
    budget: Budget,
    on_event: Callable[[Event], None],
    on_rejects: Callable[[int], None] = lambda _: None,
) -> RunReport:
    """Phase II: the kinds of `options` over the documents of the scopes' assets; see `expand_assets` for the rest."""
    hooks = _Hooks(
        derivation=derivation,
        teacher=teacher,
        on_event=on_event,
        on_rejects=on_rejects,
        options=options,
    )

    async def work(asker: Asker) -> _Done:
        extension = await extend(
            scopes,
            options=options,
            graph=derivation.graph,
            profile=teacher,
            answers=asker,
            on_stage=hooks.stage,
            stopped=lambda: asker.ended is not None or budget.exhausted,
        )
        await _extensions(derivation, hooks.touched, but=extension.ran)
        return _Done(
            stages=extension.stages,
            cut_short=extension.cut_short,
            on_nothing={
                kind: sorted(extension.on_nothing[kind])
                for kind in EVERY_KIND
                if kind in extension.on_nothing
            },
        )

    arguments = {
        "assets": [scope.asset for scope in scopes],
        "kinds": options.ordered(),
        "teacher": teacher.name,
    }
    return _run("extend", arguments, work, hooks=hooks, scopes=scopes, budget=budget)


@dataclass(frozen=True, slots=True, kw_only=True)
class FedBackReport:
    """What was fed back to Phase I: `new` names by asset, `equipment` by asset, and the scopes to expand now."""

    new: dict[str, list[str]]
    equipment: dict[str, list[str]]
    scopes: list[Scope]

    def as_json(self) -> dict[str, object]:
        """The report as the command line prints it."""
        return {"new": self.new, "equipment": self.equipment}


def feed_back(derivation: Derivation, scopes: list[Scope], *, most: int) -> FedBackReport:
    """Take up what the documents of the scopes' assets name and Phase I does not know: see kgkit/extend/feed_back.py.

    At most `most` new sensors, as many failure modes and as many other assets for each asset, this time. It is recorded;
    expanding the scopes of the report asks about it.
    """
    ledger, assets = derivation.ledger, derivation.assets()
    new: dict[str, list[str]] = {}
    equipment: dict[str, list[str]] = {}
    for scope in scopes:
        found = find(derivation.graph, scope, assets, most=most)
        if found.new:
            derive.begin_change(derivation)
            derive.ledger_grows(derivation)
            replay.record_fed_back(ledger, scope.asset, found.new)
            new[scope.asset] = [one.name for one in found.new]
        if found.equipment:
            equipment[scope.asset] = list(found.equipment)
    to_expand = dict.fromkeys([*new, *(id_ for some in equipment.values() for id_ in some)])
    assets = derivation.assets()
    return FedBackReport(
        new=new,
        equipment=equipment,
        scopes=[assets.scope(id_, replay.recorded_options(ledger, id_)) for id_ in to_expand],
    )


async def _extensions(derivation: Derivation, of: set[str], *, but: set[tuple[str, Kind]]) -> None:
    """Make again what rests on passages that this run may have changed."""
    await replay.extensions(
        graph=derivation.graph,
        ledger=derivation.ledger,
        assets=derivation.assets(),
        of=of,
        but=but,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What the work of a run came to."""

    stages: dict[str, StageCounts]
    cut_short: list[str]
    on_nothing: dict[Kind, list[str]] = field(default_factory=dict)


def _run(
    command: str,
    arguments: Mapping[str, object],
    work: Callable[[Asker], Awaitable[_Done]],
    *,
    hooks: "_Hooks",
    scopes: list[Scope],
    budget: Budget,
) -> RunReport:
    """Do `work` with an asker that signals can stop; the run stands in the ledger with its report."""
    derivation, teacher, ledger = hooks.derivation, hooks.teacher, hooks.derivation.ledger

    async def run() -> tuple[_Done, str | None]:
        async with (
            closing(teacher),
            Asker(teacher, ledger, budget=budget, on_event=hooks.event) as asker,
        ):
            with stopped_by_signals(asker.stop):
                done = await work(asker)
            return done, asker.ended

    run_id, spent = ledger.start_run(command, arguments), budget.spent
    derive.begin_change(derivation)
    done, ended = asyncio.run(run())
    settle_entities(derivation.graph)
    derive.end_change(derivation)
    for name, counts in done.stages.items():
        counts.cached = hooks.cached[name]
    spent = budget.spent - spent  # an earlier run of the same command may have had its share
    held = reading.counts(derivation.graph)
    report = RunReport(
        teacher=teacher.name,
        assets=[scope.asset for scope in scopes],
        stages=done.stages,
        nodes=dict(held.nodes),
        edges=dict(held.edges),
        calls=spent.calls,
        tokens_in=spent.tokens_in,
        tokens_out=spent.tokens_out,
        cost=spent.cost if budget.cost_known else None,
        stopped="interrupted" if ended == "interrupted" else "budget" if budget.exhausted else None,
        cut_short=sorted(done.cut_short),
        on_nothing=done.on_nothing,
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
    options: ExtendOptions = field(default_factory=ExtendOptions)
    touched: set[str] = field(default_factory=set)
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
        """Keep what became of a stage's replies; record the scope once its discovery has an end, and each kind."""
        ledger = self.derivation.ledger
        replay.outcomes_to(ledger)(scope, stage, run)
        self.on_rejects(sum(run.counts.rejected.values()))
        self.touched.add(scope.asset)
        if not (run.counts.pending or run.counts.failed):
            withdrawn.forget(ledger, scope.asset, stage.name)
        if stage.name == "discover":
            self._grow(replay.record_scope(ledger, scope, self.teacher))
        elif stage.name in EVERY_KIND:
            self._grow(
                replay.record_extension(ledger, scope, stage.name, self.options, self.teacher)
            )

    def _grow(self, grows: bool) -> None:  # noqa: FBT001 - one thing, private
        if grows and not self.grown:
            self.grown = True
            derive.ledger_grows(self.derivation)


@contextlib.asynccontextmanager
async def closing(teacher: Teacher) -> AsyncIterator[None]:
    """Close the teacher at the end of the block."""
    try:
        yield
    finally:
        await teacher.close()


@contextlib.contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
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
