"""P14, P28: export of 350,000 passages against reading the same columns and writing them with pyarrow; memory; curation.

    python -m benchmarks.export_corpora FOLDER [--passages 350000] [--rounds 3]

FOLDER keeps the generated graphs (benchmarks/export_graph.py) for later runs. Each figure is of a process of its own, rounds alternate
(export, bare, bare, export, ...), figures are medians; imports and opening the graph do not count. `bare` runs one query for the
columns of each corpus, takes its answer as Arrow and writes that as zstd Parquet: no order, no split, no lineage to cells, nothing
searched. Memory is the peak of the process; ladybug keeps the pages of its file that it has read, so that its file's size is part
of it. Writes results/export_corpora.json.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.export_graph import folder_of, graph_of

HERE = Path(__file__).resolve().parent
FEW = 10_000


def bare(folder: Path, passages: int, out: Path) -> dict[str, float]:
    """Read each corpus's columns with one query and write them."""
    import pyarrow.parquet as pq

    from kgkit.corpora.rows import CORPORA, PassageCorpus
    from kgkit.graph.passage_tables import COLUMNS, RETURNED

    graph = graph_of(folder, passages)
    start, reading, rows = time.perf_counter(), 0.0, 0
    for corpus in CORPORA.values():
        if isinstance(corpus, PassageCorpus):
            begun = time.perf_counter()
            table = graph.table(
                f"MATCH (p:Passage) WHERE p.kind IN $kinds RETURN {RETURNED}",
                {"kinds": sorted(corpus.kinds)},
                columns=COLUMNS,
            )
            reading += time.perf_counter() - begun
            pq.write_table(table, out / f"{corpus.name}.parquet", compression="zstd")
            rows += table.num_rows
    return {"seconds": time.perf_counter() - start, "scan_seconds": reading, "rows": rows}


def export(folder: Path, passages: int, out: Path) -> dict[str, float]:
    """Export the same corpora as `kgkit export` does, curated before."""
    from kgkit.corpora import export as exporting
    from kgkit.corpora.curation import Curation
    from kgkit.corpora.rows import CORPORA, PassageCorpus
    from kgkit.splits import read_split
    from kgkit.teacher.ledger import Ledger

    graph = graph_of(folder, passages)
    names = [name for name, corpus in CORPORA.items() if isinstance(corpus, PassageCorpus)]
    with Ledger.open(out / "ledger.sqlite") as ledger:
        start = time.perf_counter()
        written = exporting.export(
            out / "corpus",
            graph=graph,
            ledger=ledger,
            split=read_split("none"),
            curation=Curation(verdicts={}, leaks=(), report={"passages": {}}),
            order=exporting.order(
                only=names, format_="hf", splits=["train", "validation"], made=[]
            ),
        )
        seconds = time.perf_counter() - start
    rows = sum(part.rows for parts in written.parts.values() for part in parts.values())
    return {"seconds": seconds, "rows": rows}


def curate(folder: Path, passages: int, out: Path) -> dict[str, float]:
    """Curate the passages of the graph, nothing kept from before."""
    from kgkit.corpora.curated import curation_of
    from kgkit.splits import read_split

    graph = graph_of(folder, passages)
    start = time.perf_counter()
    found = curation_of(graph, split=read_split("default"), folder=out)
    return {
        "seconds": time.perf_counter() - start,
        "rows": found.checked(),
        "left_out": len(found.verdicts),
    }


WHAT = {"bare": bare, "export": export, "curate": curate}


def child(what: str, folder: Path, passages: int) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as out:
        result = WHAT[what](folder, passages, Path(out))
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    result["peak_mb"] = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
    result["cpu_seconds"] = time.process_time()
    print(json.dumps(result))


def measure(what: str, folder: Path, passages: int) -> dict[str, float]:
    line = [sys.executable, "-m", "benchmarks.export_corpora", str(folder)]
    line += ["--child", what, "--passages", str(passages)]
    run = subprocess.run(line, cwd=HERE.parent, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(run.stdout)
    print(what, passages, found, file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--passages", type=int, default=350_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=sorted(WHAT))
    arguments = parser.parse_args()
    folder, count = arguments.folder.resolve(), arguments.passages
    if arguments.child:
        child(arguments.child, folder, count)
        return
    load_before = os.getloadavg()[0]
    for passages in (FEW, count):
        graph_of(folder, passages).close()
    found: dict[str, list[dict[str, float]]] = {"bare": [], "export": []}
    for number in range(arguments.rounds):
        for what in ("export", "bare") if number % 2 == 0 else ("bare", "export"):
            found[what].append(measure(what, folder, count))
    few = {what: measure(what, folder, FEW) for what in ("bare", "export", "curate")}
    seconds = {
        what: statistics.median(run["seconds"] for run in runs) for what, runs in found.items()
    }
    peaks = {what: max(run["peak_mb"] for run in runs) for what, runs in found.items()}
    scan = statistics.median(run["scan_seconds"] for run in found["bare"])
    results = {
        "passages": count,
        "seconds": seconds,
        "spread": {
            what: max(run["seconds"] for run in runs) / min(run["seconds"] for run in runs)
            for what, runs in found.items()
        },
        "ratio": seconds["bare"] / seconds["export"],
        "scan_seconds": scan,
        "seconds_beyond_the_scan": seconds["export"] - scan,
        "peak_mb": peaks,
        "peak_mb_at_10k": {what: few[what]["peak_mb"] for what in few},
        "mb_more": peaks["export"] - few["export"]["peak_mb"],
        "graph_file_mb": (folder_of(folder, count) / "graph.ladybug").stat().st_size / 2**20,
        "curate": measure("curate", folder, count),
        "runs": found,
        "load_average": [load_before, os.getloadavg()[0]],
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    (HERE / "results" / "export_corpora.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
