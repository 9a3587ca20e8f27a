"""A graph of generated passages, for the benchmarks that read one: a ladybug file in a folder that later runs use again.

    python -m benchmarks.export_graph FOLDER [--passages 350000]

The kinds stand in about the shares of ALIA's corpora (7,307 documents, 23,042 rephrased, 17,230 questions, 348,223 extended). Each passage
says what it is about and which ask made it, as those of a teacher do; the starter tables are loaded too, so that `sources` are found.
"""

import argparse
import hashlib
import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.passages import MODES, SENSORS, passages
from kgkit.graph.build import build
from kgkit.graph.open import open_store
from kgkit.graph.store import GraphStore
from kgkit.names import asset_id, failure_mode_id, sensor_id
from kgkit.records import Node, NodeKey, Subgraph, digest
from kgkit.schemas import graph_spec
from kgkit.settings import Settings
from kgkit.splits import read_split
from kgkit.tables import read_tables, starter_paths

OWNER = "benchmark"
AT_ONCE = 10_000
SHARES = {
    "asset_sensor": 1, "asset_failure_mode": 1, "rephrase_wiki": 3, "rephrase_scholar": 3, "qa": 5,
    "entity_role": 22, "entity_interaction": 65,
}  # fmt: skip


def _digest(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def nodes(count: int, seed: int) -> Iterator[Node]:
    """`count` Passage nodes; each is a function of (seed, its number)."""
    for number, (_, _, asset, text) in enumerate(passages(count, seed)):
        rng = random.Random(f"{seed}/{number}/about")
        (kind,) = rng.choices(list(SHARES), list(SHARES.values()))
        properties = {
            "name": f"{asset} {number}",
            "origin": "teacher",
            "role": "source",
            "ask": _digest(seed, number, "ask"),
            "kind": kind,
            "text": text,
            "asset": asset_id(asset),
            "sensor": sensor_id(rng.choice(SENSORS)),
            "failure_mode": failure_mode_id(rng.choice(MODES)),
            "parents": [_digest(seed, rng.randrange(count), "passage")],
            "prompt": f"extend-{kind}",
            "prompt_version": "1",
            "teacher": "generated",
        }
        if kind == "qa":
            properties["question"] = text.partition(".")[0] + "?"
        yield Node(
            key=NodeKey(label="Passage", id=_digest(seed, number, "passage")), properties=properties
        )


def folder_of(folder: Path, count: int) -> Path:
    """Where in `folder` the graph of `count` passages is: a file of another schemas/graph.yaml is not opened."""
    return folder / f"{count}-{digest(graph_spec().model_dump())[:8]}"


def graph_of(folder: Path, count: int) -> GraphStore:
    """The graph of `count` passages in `folder`, made if it is not there, open for reading."""
    folder = folder_of(folder, count)
    if not (folder / "made").exists():
        folder.mkdir(parents=True, exist_ok=True)
        store = open_store("ladybug", workspace=folder, owner=OWNER, settings=Settings())
        store.merge(build(read_tables(starter_paths()).rows(), split=read_split("default")))
        made = nodes(count, seed=1)
        while batch := tuple(itertools.islice(made, AT_ONCE)):
            store.merge(Subgraph(nodes=batch))
        store.close()
        (folder / "made").touch()
    return open_store("ladybug", workspace=folder, owner=OWNER, settings=Settings(), read_only=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--passages", type=int, default=350_000)
    arguments = parser.parse_args()
    started = time.perf_counter()
    graph_of(arguments.folder, arguments.passages).close()
    print(f"{arguments.passages} passages in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
