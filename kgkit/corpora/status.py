"""What a workspace holds, as one record: tables, assets, stages, and sensor names that a person should review."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.names import near_matches
from kgkit.splits import Side, Split
from kgkit.teacher.ledger import Ledger, StageTotals
from kgkit.workspace import LoadedTable, Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetStatus:
    """How far one asset is. What tables for evaluation say counts for a held-out asset alone."""

    id: str
    name: str
    side: str
    family: str
    failure_modes: int
    sensors: int
    passages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What `kgkit status` prints. `review`: sensor names that look alike and were kept apart, with likeness."""

    workspace: Path
    store: str
    split: str
    tables: list[LoadedTable]
    assets: list[AssetStatus]
    stages: list[StageTotals]
    corpora: Mapping[str, int]
    review: list[tuple[str, str, float]]
    unfinished_runs: int

    def as_json(self) -> dict[str, object]:
        """The status as the command line prints it."""
        return {
            "workspace": str(self.workspace),
            "store": self.store,
            "split": self.split,
            "tables": [asdict(table) for table in self.tables],
            "assets": [asdict(asset) for asset in self.assets],
            "stages": {stage.stage: asdict(stage) for stage in self.stages},
            "ledger": {
                "asks": sum(stage.asked for stage in self.stages),
                "replies": sum(stage.replied for stage in self.stages),
                "unfinished_runs": self.unfinished_runs,
            },
            "corpora": dict(self.corpora),
            "review": [list(pair) for pair in self.review],
        }


def status(workspace: Workspace, *, graph: GraphStore, ledger: Ledger, split: Split) -> Status:
    """Read everything `Status` says."""
    sensors = _links(graph, "(a:Asset)-[r:MONITORED_BY]->(:Sensor)")
    modes = _links(graph, "(a:Asset)-[r:EXPERIENCES]->(:FailureMode)")
    passages = _counts(graph, "MATCH (p:Passage) RETURN p.asset, count(p)")
    names = graph.query("MATCH (s:Sensor) WHERE s.role = 'source' RETURN s.name").rows
    rows = [(row, split.side(row.name)) for row in reading.assets(graph, role=None)]
    return Status(
        workspace=workspace.root,
        store=graph.uri,
        split=split.name,
        tables=workspace.tables(),
        assets=[
            AssetStatus(
                id=row.id,
                name=row.name,
                side=side,
                family=row.family,
                failure_modes=_of(modes, row.id, side),
                sensors=_of(sensors, row.id, side),
                passages=passages.get(row.id, 0),
            )
            for row, side in rows
        ],
        stages=ledger.counts(),
        corpora=_counts(graph, "MATCH (p:Passage) RETURN p.kind, count(p)"),
        review=near_matches(str(name) for (name,) in names),
        unfinished_runs=sum(run.finished is None for run in ledger.runs()),
    )


def _links(graph: GraphStore, pattern: str) -> dict[tuple[str, str], int]:
    """How many edges of `pattern` each asset has, by (asset, role)."""
    rows = graph.query(f"MATCH {pattern} RETURN a.id, r.role, count(r)").rows
    return {(str(asset), str(role)): int(str(count)) for asset, role, count in rows}


def _of(links: Mapping[tuple[str, str], int], asset: str, side: Side) -> int:
    roles = ("source", "evaluation") if side == "held_out" else ("source",)
    return sum(links.get((asset, role), 0) for role in roles)


def _counts(graph: GraphStore, cypher: str) -> dict[str, int]:
    return {str(key): int(str(count)) for key, count in sorted(graph.query(cypher).rows, key=str)}
