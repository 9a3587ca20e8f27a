"""Expand scopes: discover -> link -> describe for each, many scopes at once, one writer to the graph.

Scopes run independently, so that one asset's linking keeps the teacher busy while another's discovery waits.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kgkit.expand.describe import KINDS, Describe
from kgkit.expand.discover import DiscoverSensors
from kgkit.expand.link import LinkRelevance
from kgkit.expand.scope import Assets, Scope
from kgkit.graph import written
from kgkit.graph.store import GraphStore
from kgkit.records import NodeKey
from kgkit.stages import Answers, GraphThread, Profile, Stage, StageCounts, StageRun, run_stage

SCOPES_AT_ONCE = 8
"""Scopes in work at the same time: enough to keep a teacher busy, few enough to keep memory flat."""


@dataclass(slots=True, kw_only=True)
class Expansion:
    """What an expansion did: counts by stage, the scopes that ran to the end, and those cut short."""

    stages: dict[str, StageCounts] = field(default_factory=dict)
    finished: list[Scope] = field(default_factory=list)
    cut_short: list[Scope] = field(default_factory=list)


def stages_of(scope: Scope, profile: Profile, assets: Assets) -> list[Stage]:
    """The stages of a scope, in order. A part is not linked: failure modes belong to whole assets."""
    discover = DiscoverSensors(scope, profile, frozenset(assets.rows))
    describe = Describe(scope, profile, assets.split)
    return (
        [discover, describe] if scope.part else [discover, LinkRelevance(scope, profile), describe]
    )


async def expand(
    scopes: Iterable[Scope],
    *,
    assets: Assets,
    graph: GraphStore,
    profile: Profile,
    answers: Answers,
    on_stage: Callable[[Scope, Stage, StageRun], None],
) -> Expansion:
    """Expand `scopes`, and from depth 2 on what they lead to: breadth first, each scope once.

    `on_stage` is called after each stage of each scope, when the graph holds its result.
    """
    expansion = Expansion()
    in_graph_thread = GraphThread()
    places = asyncio.Semaphore(SCOPES_AT_ONCE)

    async def one(scope: Scope) -> list[Scope]:
        async with places:
            return await _expand_one(scope)

    async def _expand_one(scope: Scope) -> list[Scope]:
        linked: list[str] = []
        complete = True
        for stage in stages_of(scope, profile, assets):
            run = await run_stage(
                stage, graph=graph, answers=answers, in_graph_thread=in_graph_thread
            )
            expansion.stages.setdefault(stage.name, StageCounts()).add(run.counts)
            complete = complete and not run.counts.pending
            on_stage(scope, stage, run)
            if isinstance(stage, DiscoverSensors):
                linked = sorted(stage.linked)
        (expansion.finished if complete else expansion.cut_short).append(scope)
        if scope.part or scope.options.depth < 2:
            return []
        return await in_graph_thread(lambda: assets.next_scopes(scope, graph, linked))

    seen: set[str] = set()
    level = list(scopes)
    for _ in range(max((scope.options.depth for scope in level), default=0)):
        level = [scope for scope in level if scope.key.id not in seen]
        seen.update(scope.key.id for scope in level)
        found = await asyncio.gather(*(one(scope) for scope in level))
        level = sorted(
            {s.key.id: s for scopes_ in found for s in scopes_}.values(), key=lambda s: s.key.id
        )
    await in_graph_thread(lambda: graph.delete(nodes=written.orphan_sensors(graph)))
    return expansion


def withdraw(asset: str, part: str | None, *, graph: GraphStore) -> None:
    """Remove all that a teacher said about an asset or a part of it: it is held out now, or in no table any more."""
    nodes = written.teacher_passages(graph, asset, part, KINDS.values())
    ends = (
        [NodeKey(label=label, id=part) for label in ("Subunit", "Component")]
        if part
        else [NodeKey(label="Asset", id=asset)]
    )
    edges = [edge for end in ends for edge in written.teacher_monitored_by(graph, end)]
    if part is None:
        edges += written.teacher_relevance(graph, asset)
    graph.delete(nodes=[key for key, _ in nodes], edges=[key for key, _ in edges])
