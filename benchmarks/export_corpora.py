"""P14, P28: export of 350,000 passages against reading the same columns and writing them with pyarrow; memory; other commands.

    python -m benchmarks.export_corpora FOLDER [--passages 350000] [--rounds 3]

FOLDER keeps the generated graphs (benchmarks/export_graph.py) for later runs. Each figure is of a process of its own, rounds alternate
(export, bare, bare, export, ...), figures are medians; imports and opening the graph do not count. `bare` runs one query for the
columns of each corpus, takes its answer as Arrow and writes that as zstd Parquet: no order, no split, no lineage to cells, nothing
searched, no bound on memory. Memory is flat where 350,000 passages take no more than 50,000: below some 30,000 what is kept of the file and what is sorted at a
time are not full yet, and the figure for 10,000 stands beside. `curate` makes the curation anew. `stats` and `trace` (of one passage) are the whole commands. `known` is what a run that goes
on asks the ledger: which of all its asks have a reply. Memory is the peak of the process and, added, that of
the one that it begins. Writes results/export_corpora.json.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from benchmarks.export_graph import graph_of, workspace_of

HERE = Path(__file__).resolve().parent
FEW = 10_000
FULL = 50_000
"""Passages from which on no buffer grows."""


class Clock:
    """Wall and CPU time since it was made, as figures of a result."""

    def __init__(self) -> None:
        self.begun = time.perf_counter(), _cpu()

    def figures(self, prefix: str = "") -> dict[str, float]:
        wall, cpu = self.begun
        return {
            f"{prefix}seconds": time.perf_counter() - wall,
            f"{prefix}cpu_seconds": _cpu() - cpu,
        }


def _cpu() -> float:
    """CPU seconds of this process and of those that it began and that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def bare(folder: Path, passages: int, out: Path) -> dict[str, float]:
    """Read each corpus's columns with one query and write them; ladybug may take the memory that it wants."""
    import ladybug
    import pyarrow.parquet as pq

    from kgkit.corpora.row import PassageCorpus
    from kgkit.corpora.rows import CORPORA
    from kgkit.graph.ladybug_file import FILE_NAME, execute, open_to_read
    from kgkit.graph.passage_tables import COLUMNS

    returned = ", ".join(f"p.`{name}` AS `{name}`" for name in COLUMNS)
    asked = f"MATCH (p:Passage) WHERE p.kind IN $kinds RETURN {returned}"
    database = open_to_read(workspace_of(folder, passages).root / FILE_NAME, cache_mb=None)
    clock, scan, rows = Clock(), Counter[str](), 0
    with ladybug.Connection(database) as connection:
        for corpus in CORPORA.values():
            if isinstance(corpus, PassageCorpus):
                reading = Clock()
                table = execute(connection, asked, {"kinds": sorted(corpus.kinds)}).get_as_arrow(
                    FEW
                )
                scan.update(reading.figures("scan_"))
                pq.write_table(table, out / f"{corpus.name}.parquet", compression="zstd")
                rows += table.num_rows
    return {**clock.figures(), **scan, "rows": rows}


def export(folder: Path, passages: int, out: Path) -> dict[str, float]:
    """Export the same corpora as `kgkit export` does, curated before."""
    import pandas  # noqa: F401 - pyarrow imports it to make its first scalar
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401 - as `bare` does

    from kgkit.corpora import export as exporting
    from kgkit.corpora.curation import Curation
    from kgkit.corpora.row import PassageCorpus
    from kgkit.corpora.rows import CORPORA
    from kgkit.splits import read_split
    from kgkit.teacher.ledger import Ledger

    graph = graph_of(folder, passages)
    names = [name for name, corpus in CORPORA.items() if isinstance(corpus, PassageCorpus)]
    with Ledger.open(workspace_of(folder, passages).ledger, read_only=True) as ledger:
        clock = Clock()
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
        figures = clock.figures()
    rows = sum(part.rows for parts in written.parts.values() for part in parts.values())
    return {**figures, "rows": rows}


def curate(folder: Path, passages: int, out: Path) -> dict[str, float]:
    """Curate the passages of the graph, nothing kept from before."""
    from kgkit.corpora.curated import curation_of
    from kgkit.splits import read_split

    graph = graph_of(folder, passages)
    clock = Clock()
    found = curation_of(graph, split=read_split("default"), folder=out)
    return {
        **clock.figures(),
        "rows": found.checked(),
        "left_out": len(found.verdicts),
    }


def known(folder: Path, passages: int, out: Path) -> dict[str, float]:
    """Which asks of all passages have a reply."""
    from kgkit.teacher.ledger import Ledger

    asks = graph_of(folder, passages).query("MATCH (p:Passage) RETURN p.ask").rows
    with Ledger.open(workspace_of(folder, passages).ledger, read_only=True) as ledger:
        clock = Clock()
        found = ledger.known(str(ask) for (ask,) in asks)
        return {**clock.figures(), "rows": len(found)}


def stats(folder: Path, passages: int, out: Path) -> dict[str, float]:
    """`kgkit stats`, with its figures."""
    return _command(folder, passages, "stats", "--out", str(out))


def trace(folder: Path, passages: int, out: Path) -> dict[str, float]:
    """`kgkit trace` of a passage."""
    graph = graph_of(folder, passages)
    [[passage]] = graph.query("MATCH (p:Passage) RETURN p.id LIMIT 1").rows
    graph.close()
    return _command(folder, passages, "trace", str(passage))


def _command(folder: Path, passages: int, *words: str) -> dict[str, float]:
    from kgkit.cli import main as kgkit

    workspace, clock = workspace_of(folder, passages), Clock()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        kgkit(["--workspace", str(workspace.root), "--quiet", *words])
    return clock.figures()


WHAT = {
    "bare": bare,
    "export": export,
    "curate": curate,
    "known": known,
    "stats": stats,
    "trace": trace,
}


def child(what: str, folder: Path, passages: int) -> None:
    beside = Beside()
    with tempfile.TemporaryDirectory(dir=folder) as out:
        result = WHAT[what](folder, passages, Path(out))
    result["peak_mb_beside"] = beside.peak_mb
    result["peak_mb"] = _peak_mb("self") + beside.peak_mb
    print(json.dumps(result))


class Beside(threading.Thread):
    """Watches the peak of the memory of the processes that this one begins; of several the largest."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mb = 0.0
        self.start()

    def run(self) -> None:
        """Look every 20 ms, as long as the process lives."""
        while True:
            for task in Path("/proc/self/task").glob("*/children"):
                with contextlib.suppress(OSError, IndexError):  # it has ended
                    of = (_peak_mb(number) for number in task.read_text().split())
                    self.peak_mb = max([self.peak_mb, *of])
            time.sleep(0.02)


def _peak_mb(process: str) -> float:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def measure(what: str, folder: Path, passages: int) -> dict[str, float]:
    line = [sys.executable, "-m", "benchmarks.export_corpora", str(folder)]
    line += ["--child", what, "--passages", str(passages)]
    run = subprocess.run(line, cwd=HERE.parent, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(run.stdout)
    print(what, passages, found, file=sys.stderr)
    return found


def _medians(found: dict[str, list[dict[str, float]]], figure: str) -> dict[str, float]:
    return {what: statistics.median(run[figure] for run in runs) for what, runs in found.items()}


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
    for passages in (FEW, FULL, count):
        workspace_of(folder, passages)
    found: dict[str, list[dict[str, float]]] = {"bare": [], "export": []}
    for number in range(arguments.rounds):
        for what in ("export", "bare") if number % 2 == 0 else ("bare", "export"):
            found[what].append(measure(what, folder, count))
    few = {what: measure(what, folder, FEW) for what in WHAT}
    full = [measure("export", folder, FULL)["peak_mb"] for _ in range(arguments.rounds)]
    peaks = {what: max(run["peak_mb"] for run in runs) for what, runs in found.items()}
    wall, cpu = _medians(found, "seconds"), _medians(found, "cpu_seconds")
    scan = {
        name: statistics.median(run[name] for run in found["bare"])
        for name in ("scan_seconds", "scan_cpu_seconds")
    }
    results = {
        "passages": count,
        "seconds": wall,
        "cpu_seconds": cpu,
        "spread": {
            what: max(run["seconds"] for run in runs) / min(run["seconds"] for run in runs)
            for what, runs in found.items()
        },
        "ratio": wall["bare"] / wall["export"],
        "ratio_of_cpu": cpu["bare"] / cpu["export"],
        **scan,
        "seconds_beyond_the_scan": wall["export"] - scan["scan_seconds"],
        "cpu_seconds_beyond_the_scan": cpu["export"] - scan["scan_cpu_seconds"],
        "peak_mb": peaks,
        "peak_mb_at_10k": {what: few[what]["peak_mb"] for what in few},
        "peak_mb_at_50k": {"export": max(full)},
        "mb_more_than_at_10k": peaks["export"] - few["export"]["peak_mb"],
        "mb_more_than_at_50k": peaks["export"] - max(full),
        "graph_file_mb": (workspace_of(folder, count).root / "graph.ladybug").stat().st_size
        / 2**20,
        **{what: measure(what, folder, count) for what in ("known", "trace", "stats", "curate")},
        "runs": found,
        "load_average": [load_before, os.getloadavg()[0]],
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    (HERE / "results" / "export_corpora.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
