"""What a workspace holds, as one record: tables, assets, stages, and sensor names that a person should review."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.names import near_matches
from kgkit.splits import Split
from kgkit.teacher.ledger import Ledger, StageTotals
from kgkit.workspace import LoadedTable, Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetStatus:
    """How far one asset is."""

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
    sensors = _counts(
        graph,
        "MATCH (a:Asset)-[r:MONITORED_BY]->(:Sensor) WHERE r.role = 'source' RETURN a.id, count(r)",
    )
    modes = _counts(
        graph,
        "MATCH (a:Asset)-[r:EXPERIENCES]->(:FailureMode) WHERE r.role = 'source' RETURN a.id, count(r)",
    )
    passages = _counts(graph, "MATCH (p:Passage) RETURN p.asset, count(p)")
    names = graph.query("MATCH (s:Sensor) WHERE s.role = 'source' RETURN s.name").rows
    return Status(
        workspace=workspace.root,
        store=graph.uri,
        split=split.name,
        tables=workspace.tables(),
        assets=[
            AssetStatus(
                id=row.id,
                name=row.name,
                side=split.side(row.name),
                family=row.family,
                failure_modes=modes.get(row.id, 0),
                sensors=sensors.get(row.id, 0),
                passages=passages.get(row.id, 0),
            )
            for row in reading.assets(graph, role=None)
        ],
        stages=ledger.counts(),
        corpora=_counts(graph, "MATCH (p:Passage) RETURN p.kind, count(p)"),
        review=near_matches(str(name) for (name,) in names),
        unfinished_runs=sum(run.finished is None for run in ledger.runs()),
    )


def _counts(graph: GraphStore, cypher: str) -> dict[str, int]:
    return {str(key): int(str(count)) for key, count in sorted(graph.query(cypher).rows, key=str)}
