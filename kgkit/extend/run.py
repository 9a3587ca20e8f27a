"""Extend the documents of assets: the kinds one after the other for each asset, many assets at once."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from kgkit.expand.scope import Scope
from kgkit.extend import interactions, raft, roles
from kgkit.extend.descriptions import DescribeTerms
from kgkit.extend.entities import ExtractEntities
from kgkit.extend.interactions import ExplainInteractions
from kgkit.extend.options import ExtendOptions, Kind
from kgkit.extend.qa import AskAndAnswer
from kgkit.extend.raft import AnswerWithEvidence
from kgkit.extend.rephrase import Rephrase
from kgkit.extend.roles import ExplainRoles
from kgkit.graph.store import GraphStore
from kgkit.loop import Answers, GraphThread, StageCounts, StageRun, run_stage
from kgkit.records import Ask
from kgkit.stages import Profile, Stage

SCOPES_AT_ONCE = 8
"""Assets in work at the same time: enough to keep a teacher busy, few enough to keep memory flat."""


@dataclass(slots=True, kw_only=True)
class Extension:
    """What an extension did: counts by kind, the (asset, kind) that ran, and what was not begun or not finished.

    `on_nothing`: the assets for which a kind had nothing to ask about, by kind.
    """

    stages: dict[str, StageCounts] = field(default_factory=dict)
    ran: set[tuple[str, Kind]] = field(default_factory=set)
    cut_short: list[str] = field(default_factory=list)
    on_nothing: dict[Kind, list[str]] = field(default_factory=dict)


def stage_of(kind: Kind, scope: Scope, profile: Profile, options: ExtendOptions) -> Stage:
    """The stage of a kind for one asset and its parts."""
    match kind:
        case "rephrase":
            return Rephrase(scope, profile)
        case "qa":
            return AskAndAnswer(scope, profile)
        case "raft":
            return AnswerWithEvidence(scope, profile)
        case "entities":
            return ExtractEntities(scope, profile)
        case "entity-centric":
            return ExplainRoles(scope, profile)
        case "interaction-centric":
            return ExplainInteractions(scope, profile, pairs=options.pairs_per_document)
        case "descriptions":
            return DescribeTerms(scope, profile)


TO_COME: Mapping[
    Kind, Callable[[GraphStore, Scope, Profile, ExtendOptions], Iterable[tuple[Ask, int]]]
] = {
    "raft": raft.to_come,
    "entity-centric": roles.to_come,
    "interaction-centric": interactions.to_come,
}
"""Of kinds that build on replies of another: asks like those that replies still to come will lead to, and how many at most."""


async def extend(
    scopes: Iterable[Scope],
    *,
    options: ExtendOptions,
    graph: GraphStore,
    profile: Profile,
    answers: Answers,
    on_stage: Callable[[Scope, Stage, StageRun], None],
    stopped: Callable[[], bool] | None,
) -> Extension:
    """Run the kinds of `options` over the documents of each scope's asset and its parts.

    `on_stage` is called after each kind of each scope, when the graph holds its result. Once `stopped` says so no
    kind is begun: what an earlier run made of it stays, as it does where not one of a kind's asks came to an end. `stopped`
    None is a replay, which writes what the ledger holds, be it nothing.
    """
    extension = Extension()
    places, in_graph_thread = asyncio.Semaphore(SCOPES_AT_ONCE), GraphThread()

    async def one(scope: Scope) -> None:
        async with places:
            whole = True
            for kind in options.ordered():
                if stopped is not None and stopped():
                    whole = False
                    break
                stage = stage_of(kind, scope, profile, options)
                run = await run_stage(
                    stage,
                    graph=graph,
                    answers=answers,
                    in_graph_thread=in_graph_thread,
                    needs_one=stopped is not None,
                )
                extension.stages.setdefault(kind, StageCounts()).add(run.counts)
                if run.counts.rests_on_nothing:
                    extension.on_nothing.setdefault(kind, []).append(scope.asset)
                if stopped is not None and run.counts.nothing_came:
                    whole = False
                    continue
                extension.ran.add((scope.asset, kind))
                whole = whole and not run.counts.pending
                on_stage(scope, stage, run)
            if not whole:
                extension.cut_short.append(scope.asset)

    await asyncio.gather(*(one(scope) for scope in scopes))
    return extension
