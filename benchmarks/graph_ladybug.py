"""P10: what LadybugStore.merge costs against ladybug's own COPY of the same rows, in one run.

python benchmarks/graph_ladybug.py [--rounds N]: prints a table and writes benchmarks/results/graph_ladybug.json.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import ladybug
import pyarrow as pa

from kgkit.graph.ladybug_file import schema_statements
from kgkit.graph.ladybug_store import LadybugStore
from kgkit.records import Edge, EdgeKey, Node, NodeKey, Subgraph
from kgkit.schemas import graph_spec

RESULTS = Path(__file__).parent / "results" / "graph_ladybug.json"
NODES, MORE_NODES, ASSETS = 10_000, 100_000, 500
TEXT = "The sensor shows the failure mode because the shaft vibrates. " * 8


def passages(count: int, text: str = TEXT) -> tuple[Node, ...]:
    return tuple(
        Node(
            key=NodeKey(label="Passage", id=f"passage-{i:07}"),
            properties={"text": f"{i} {text}", "kind": "asset_sensor", "asset": f"asset-{i % ASSETS:05}",
                        "origin": "teacher", "role": "source", "sources": [f"a.csv!A{i}"], "ask": f"{i:064}"},
        )
        for i in range(count)
    )  # fmt: skip


def about(count: int) -> tuple[Edge, ...]:
    return tuple(
        Edge(
            key=EdgeKey(
                type="ABOUT",
                start=NodeKey(label="Passage", id=f"passage-{i:07}"),
                end=NodeKey(label="Asset", id=f"asset-{i % ASSETS:05}"),
            ),
            properties={"origin": "teacher", "role": "source", "ask": f"{i:064}"},
        )
        for i in range(count)
    )


def seconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def copy_seconds(folder: Path, nodes: tuple[Node, ...]) -> float:
    """Records -> Arrow -> COPY into an empty table of the same columns: the fastest way that ladybug has."""
    database = ladybug.Database(folder / "copy.ladybug", backend="pybind")
    columns = graph_spec().node_properties("Passage")
    types = {"string": pa.string(), "string[]": pa.list_(pa.string())}

    def copy() -> None:
        rows = pa.table(
            {"id": pa.array([node.key.id for node in nodes])}
            | {
                name: pa.array([node.properties.get(name) for node in nodes], types[type_])
                for name, type_ in columns.items()
            }
        )
        connection.execute("COPY Passage FROM $rows", {"rows": rows})

    with ladybug.Connection(database) as connection:
        for statement in schema_statements():
            connection.execute(statement)
        taken = seconds(copy)
    database.close()
    return taken


def one_round(
    small: tuple[Node, ...], large: tuple[Node, ...], links: tuple[Edge, ...]
) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp())
    assets = tuple(
        Node(key=NodeKey(label="Asset", id=f"asset-{i:05}"), properties={}) for i in range(ASSETS)
    )
    taken = {"copy 10k": copy_seconds(folder, small)}
    with closing(LadybugStore(folder / "small.ladybug", owner="bench")) as store:
        store.merge(Subgraph(nodes=assets))
        taken["merge 10k"] = seconds(lambda: store.merge(Subgraph(nodes=small)))
        taken["merge 10k again"] = seconds(lambda: store.merge(Subgraph(nodes=small)))
        changed = passages(NODES, "Another text. " + TEXT)
        taken["merge 10k changed"] = seconds(lambda: store.merge(Subgraph(nodes=changed)))
        taken["edges 10k"] = seconds(lambda: store.merge(Subgraph(edges=links)))
        taken["edges 10k again"] = seconds(lambda: store.merge(Subgraph(edges=links)))
    with closing(LadybugStore(folder / "large.ladybug", owner="bench")) as store:
        taken["merge 100k"] = seconds(lambda: store.merge(Subgraph(nodes=large)))
    shutil.rmtree(folder)
    folder.mkdir()
    taken["copy 100k"] = copy_seconds(folder, large)
    shutil.rmtree(folder)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    small, large, links = passages(NODES), passages(MORE_NODES), about(NODES)
    runs = [one_round(small, large, links) for _ in range(rounds)]
    median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    spread = {
        name: max(run[name] for run in runs) / min(run[name] for run in runs) for name in runs[0]
    }
    figures = {
        "nodes, merge against COPY (10k)": (median["copy 10k"] / median["merge 10k"], 0.8),
        "nodes, merge against COPY (100k)": (median["copy 100k"] / median["merge 100k"], 0.8),
        "the same again against COPY": (median["copy 10k"] / median["merge 10k again"], 0.55),
        "all changed against COPY": (median["copy 10k"] / median["merge 10k changed"], 0.55),
        "edges per second": (NODES / median["edges 10k"], 25_000),
        "the same edges again per second": (NODES / median["edges 10k again"], 25_000),
        "rows/s at 100k against 10k": (10 * median["merge 10k"] / median["merge 100k"], 0.8),
    }
    for name, (value, target) in figures.items():
        print(
            f"{name:36} {value:10.2f}   target {target}  {'met' if value >= target else 'MISSED'}"
        )
    for name, value in median.items():
        print(f"{name:36} {value:10.3f} s  slowest / fastest of {rounds}: {spread[name]:.2f}")
    RESULTS.parent.mkdir(exist_ok=True)
    document = {
        "rounds": rounds,
        "figures": {k: v[0] for k, v in figures.items()},
        "median_s": median,
        "spread": spread,
    }
    RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
