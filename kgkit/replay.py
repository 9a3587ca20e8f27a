"""Make again from the ledger what teachers said: every recorded scope of Phase I, every recorded kind of Phase II.

What a run did is recorded as it goes: which scope or kind, with which options, with which teacher. So the same asks can
be planned again without the teacher, and their replies stand in the ledger.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from kgkit.expand.facts import reference_facts
from kgkit.expand.run import expand, withdraw
from kgkit.expand.scope import Assets, FedBack, Options, Scope, part_scope
from kgkit.extend.descriptions import KIND as DESCRIPTION
from kgkit.extend.options import DESCRIPTIONS, EVERY_KIND, ExtendOptions, Kind
from kgkit.extend.resolve import settle_entities
from kgkit.extend.run import extend
from kgkit.graph import reading, written
from kgkit.graph.store import GraphStore
from kgkit.loop import StageCounts, StageRun
from kgkit.records import Ask, Failure, Reply, Subject, digest
from kgkit.stages import Profile, Stage
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.reference import NAME as REFERENCE
from kgkit.teacher.reference import ReferenceTeacher

_SCOPE = "scope/"
_EXTENSION = "extend/"
_FED_BACK = "feed-back/"


class FromLedger:
    """Answers from the ledger alone: what was never answered stays to do."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def answers(self, asks: Iterable[Ask]) -> AsyncIterator[tuple[Ask, Reply | Failure]]:
        """The asks that have a reply, with it."""
        wanted = list(asks)
        found = self._ledger.replies(ask.id for ask in wanted)
        for ask in wanted:
            if ask.id in found:
                yield ask, found[ask.id]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedProfile:
    """A teacher as an earlier run saw it: enough to plan the same asks without it."""

    name: str
    model: str
    structured: bool
    logprobs: bool

    def identity(self, subject: Subject) -> str:  # noqa: ARG002 - a served model is the same for every subject
        """The model that was served."""
        return self.model


def record_scope(ledger: Ledger, scope: Scope, profile: Profile) -> bool:
    """Note that `scope` is expanded with this teacher, so that it can be made again; whether that is new.

    The last one counts.
    """
    value = {
        "asset": scope.asset,
        "part": scope.part_id,
        "options": asdict(replace(scope.options, depth=1)),
        "profile": _kept(profile, scope.asset),
    }
    return _record(ledger, _SCOPE + scope.key.id, value)


def record_extension(
    ledger: Ledger, scope: Scope, kind: Kind, options: ExtendOptions, profile: Profile
) -> bool:
    """Note that `scope`'s asset was extended by `kind`; whether that is new. The last one counts."""
    value = {
        "asset": scope.asset,
        "kind": kind,
        "options": {"pairs_per_document": options.pairs_per_document},
        "profile": _kept(profile, scope.asset),
        **({"held_out": True} if scope.held_out else {}),
    }
    return _record(ledger, f"{_EXTENSION}{scope.asset}/{kind}", value)


def fed_back(ledger: Ledger) -> dict[str, tuple[FedBack, ...]]:
    """What Phase II has fed back so far, by asset: an input of the graph, like a table."""
    return {
        key.removeprefix(_FED_BACK): tuple(
            FedBack(**one) for one in cast("list[dict[str, Any]]", value)
        )
        for key, value in ledger.meta_items(_FED_BACK).items()
    }


def record_fed_back(ledger: Ledger, asset: str, new: Iterable[FedBack]) -> None:
    """Add to what is fed back to the asset."""
    known = fed_back(ledger).get(asset, ())
    ledger.set_meta(_FED_BACK + asset, [asdict(one) for one in (*known, *new)])


def recorded_options(ledger: Ledger, asset: str) -> Options:
    """The options that the asset was expanded with last; the usual ones if it never was."""
    recorded = cast("dict[str, Any] | None", ledger.meta(_SCOPE + asset))
    return Options(**recorded["options"]) if recorded else Options()


def _kept(profile: Profile, asset: str) -> dict[str, object]:
    kept: dict[str, object] = {"name": profile.name}
    if profile.name != REFERENCE:
        model = profile.identity(Subject(asset=asset))
        kept |= {"model": model, "structured": profile.structured, "logprobs": profile.logprobs}
    return kept


def _record(ledger: Ledger, key: str, value: Mapping[str, object]) -> bool:
    if ledger.meta(key) == value:
        return False
    ledger.set_meta(key, value)
    return True


async def everything(
    *,
    graph: GraphStore,
    ledger: Ledger,
    assets: Assets,
    of: Collection[str] | None = None,
) -> int:
    """Make every recorded scope and kind (of all assets or `of` these) again, withdraw those that may not or cannot be any more.

    Returns how many asks have no reply.
    """
    missing = await _scopes(graph=graph, ledger=ledger, assets=assets, of=of)
    missing += await extensions(graph=graph, ledger=ledger, assets=assets, of=of)
    settle_entities(graph)
    return missing


async def _scopes(
    *, graph: GraphStore, ledger: Ledger, assets: Assets, of: Collection[str] | None
) -> int:
    by_teacher: dict[str, tuple[dict[str, Any], list[Scope]]] = {}
    for key, value in ledger.meta_items(_SCOPE).items():
        recorded = cast("dict[str, Any]", value)
        if of is not None and recorded["asset"] not in of:
            continue
        scope = _recorded_scope(recorded, graph, assets)
        if scope is None:
            withdraw(recorded["asset"], recorded["part"], graph=graph)
            ledger.drop_outcomes(key.removeprefix(_SCOPE))
        else:
            _, scopes = by_teacher.setdefault(
                digest(recorded["profile"]), (recorded["profile"], [])
            )
            scopes.append(scope)
    missing = 0
    for _, (profile, scopes) in sorted(by_teacher.items()):
        expansion = await expand(
            scopes,
            assets=assets,
            graph=graph,
            profile=_recorded_profile(profile, graph, assets),
            answers=FromLedger(ledger),
            on_stage=outcomes_to(ledger),
            stopped=None,
        )
        missing += _pending(expansion.stages.values())
    graph.delete(nodes=written.orphans(graph))
    return missing


async def extensions(
    *,
    graph: GraphStore,
    ledger: Ledger,
    assets: Assets,
    of: Collection[str] | None = None,
    but: Collection[tuple[str, Kind]] = (),
) -> int:
    """Make the recorded kinds of Phase II again: of all assets or `of` these, without (asset, kind) `but`.

    Returns how many asks have no reply.
    """
    by_asset: dict[str, dict[Kind, dict[str, Any]]] = {}
    for value in ledger.meta_items(_EXTENSION).values():
        recorded = cast("dict[str, Any]", value)
        asset, kind = recorded["asset"], recorded["kind"]
        if of is None or asset in of:
            by_asset.setdefault(asset, {})[kind] = recorded
    profiles: dict[str, Profile] = {}
    missing = 0
    for asset, kinds in sorted(by_asset.items()):
        for kind in EVERY_KIND:
            if kind not in kinds or (asset, kind) in but:
                continue
            scope = _extension_scope(kinds[kind], assets)
            if scope is None:
                _withdraw_descriptions(asset, kind, graph=graph, ledger=ledger)
                continue
            kept = kinds[kind]["profile"]
            if digest(kept) not in profiles:
                profiles[digest(kept)] = _recorded_profile(kept, graph, assets)
            extension = await extend(
                [scope],
                options=ExtendOptions(kinds=(kind,), **kinds[kind]["options"]),
                graph=graph,
                profile=profiles[digest(kept)],
                answers=FromLedger(ledger),
                on_stage=outcomes_to(ledger),
                stopped=None,
            )
            missing += _pending(extension.stages.values())
    return missing


def _extension_scope(recorded: dict[str, Any], assets: Assets) -> Scope | None:
    """The scope of a kind as it is today; None if its asset is gone, or held out and not described as such."""
    asset = recorded["asset"]
    if asset not in assets.rows:
        return None
    if assets.is_open(asset):
        return assets.scope(asset, Options())
    held_out = recorded.get("held_out", False) and assets.is_held_out(asset)
    return assets.held_out_scope(asset) if held_out else None


def _withdraw_descriptions(asset: str, kind: Kind, *, graph: GraphStore, ledger: Ledger) -> None:
    """Take descriptions away; all else that was made of an asset goes with its scopes of Phase I, which these may not have."""
    if kind == DESCRIPTIONS:
        graph.delete(nodes=written.derived_passages(graph, asset, [DESCRIPTION]))
        ledger.replace_outcomes(kind, asset, [])


def _pending(counts: Iterable[StageCounts]) -> int:
    return sum(one.pending for one in counts)


def _recorded_scope(recorded: dict[str, Any], graph: GraphStore, assets: Assets) -> Scope | None:
    """The scope as it is today; None if its asset is held out or gone, or the part is."""
    row = assets.rows.get(recorded["asset"])
    if row is None or not assets.is_open(row.id):
        return None
    scope = assets.scope(row.id, Options(**recorded["options"]))
    if recorded["part"] is None:
        return scope
    parts = [part for part in reading.parts_of(graph, row.id) if part.id == recorded["part"]]
    return part_scope(parts[0], scope) if parts else None


def _recorded_profile(profile: dict[str, Any], graph: GraphStore, assets: Assets) -> Profile:
    if profile["name"] == REFERENCE:
        return ReferenceTeacher(reference_facts(graph, assets))
    return RecordedProfile(**profile)


def outcomes_to(ledger: Ledger) -> Callable[[Scope, Stage, StageRun], None]:
    """A hook that keeps each stage's outcomes in the ledger, where `status` finds them."""

    def keep(scope: Scope, stage: Stage, run: StageRun) -> None:
        ledger.replace_outcomes(stage.name, scope.key.id, run.outcomes)

    return keep
