"""P11: what Neo4jStore.merge costs against one MERGE per row and against a hand-tuned UNWIND of 10,000 rows.

python benchmarks/graph_neo4j.py URI [--rounds N], the password in NEO4J_PASSWORD and the database empty: prints
a table and writes benchmarks/results/graph_neo4j.json.
"""

import argparse
import json
import os
import statistics
import sys
from contextlib import closing
from pathlib import Path

import neo4j

sys.path.insert(0, str(Path(__file__).parent))
from graph_ladybug import ASSETS, NODES, about, passages, seconds

from kgkit.graph.neo4j_store import Neo4jStore
from kgkit.records import Node, NodeKey, Subgraph
from kgkit.settings import read_settings

RESULTS = Path(__file__).parent / "results" / "graph_neo4j.json"
ROWS_ONE_BY_ONE = 300
NODE = "MERGE (n:Passage {id: row.id}) SET n = row.properties"
EDGE = (
    "MATCH (a:Passage {id: row.start}) MATCH (b:Asset {id: row.end}) "
    "MERGE (a)-[r:ABOUT]->(b) SET r = row.properties"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    settings = read_settings()
    auth = (settings.neo4j_username, os.environ["NEO4J_PASSWORD"])
    nodes, links = passages(NODES), about(NODES)
    node_rows = [{"id": n.key.id, "properties": {**n.properties, "id": n.key.id}} for n in nodes]
    edge_rows = [
        {"start": e.key.start.id, "end": e.key.end.id, "properties": dict(e.properties)}
        for e in links
    ]
    assets = tuple(
        Node(key=NodeKey(label="Asset", id=f"asset-{i:05}"), properties={}) for i in range(ASSETS)
    )
    runs: list[dict[str, float]] = []
    with (
        closing(Neo4jStore(chosen.uri, owner="bench", settings=settings)) as store,
        neo4j.GraphDatabase.driver(chosen.uri, auth=auth) as driver,
        driver.session(database=settings.neo4j_database) as session,
    ):

        def unwind(statement: str, rows: list[dict]) -> None:
            session.execute_write(
                lambda tx: tx.run(f"UNWIND $rows AS row {statement}", rows=rows).consume()
            )

        def one_by_one(statement: str, rows: list[dict]) -> None:
            for row in rows[:ROWS_ONE_BY_ONE]:
                session.execute_write(
                    lambda tx, row=row: tx.run(f"WITH $row AS row {statement}", row=row).consume()
                )

        actions = {
            "merge nodes": lambda: store.merge(Subgraph(nodes=nodes)),
            "UNWIND nodes": lambda: unwind(NODE, node_rows),
            "one by one nodes": lambda: one_by_one(NODE, node_rows),
            "merge edges": lambda: store.merge(Subgraph(edges=links)),
            "UNWIND edges": lambda: unwind(EDGE, edge_rows),
            "one by one edges": lambda: one_by_one(EDGE, edge_rows),
        }
        for round_ in range(chosen.rounds + 1):
            run = {}
            names = list(actions)
            order = names if round_ % 2 else [*names[2::-1], *names[:2:-1]]
            for name in order:
                store.delete(nodes=[n.key for n in nodes]) if "nodes" in name else store.merge(
                    Subgraph(nodes=(*nodes, *assets))
                )
                if "edges" in name:
                    store.delete(edges=[e.key for e in links])
                run[name] = seconds(actions[name])
            if round_:  # the first round warms the server up
                runs.append(run)
        store.clear()
    report({name: [run[name] for run in runs] for name in runs[0]})


def report(taken: dict[str, list[float]]) -> None:
    median = {name: statistics.median(values) for name, values in taken.items()}
    figures = {}
    for kind in ("nodes", "edges"):
        single = median[f"one by one {kind}"] * NODES / ROWS_ONE_BY_ONE
        figures[f"{kind}, against one by one"] = (single / median[f"merge {kind}"], 20)
        figures[f"{kind}, against tuned UNWIND"] = (
            median[f"UNWIND {kind}"] / median[f"merge {kind}"],
            0.85,
        )
        figures[f"{kind} per second"] = (NODES / median[f"merge {kind}"], 0)
    for name, (value, target) in figures.items():
        print(
            f"{name:32} {value:10.2f}   target {target or '-'}  {'met' if value >= target else 'MISSED'}"
        )
    for name, values in taken.items():
        print(
            f"{name:32} {median[name]:10.3f} s  slowest / fastest: {max(values) / min(values):.2f}"
        )
    RESULTS.parent.mkdir(exist_ok=True)
    document = {
        "figures": {k: v[0] for k, v in figures.items()},
        "median_s": median,
        "seconds": taken,
    }
    RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
