"""Memory of `expand --all`: peak RSS over about 20,000 asks against about 1,000, on tables of invented assets.

python -m benchmarks.expand_all [--assets 200]: writes benchmarks/results/expand_all.json.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
FEW = 10
MODES = 12


def child(folder: Path, assets: int) -> None:
    """Expand `assets` assets with a teacher that answers at once; print asks, seconds and peak RSS as JSON."""
    from kgkit import derive, runs
    from kgkit.derive import Derivation
    from kgkit.expand.scope import Options
    from kgkit.graph.open import open_store
    from kgkit.records import Ask, Reply
    from kgkit.settings import Settings
    from kgkit.splits import read_split
    from kgkit.tables import read_tables
    from kgkit.teacher.budget import Budget
    from kgkit.teacher.ledger import Ledger
    from kgkit.workspace import Workspace
    from tests.scripted import ScriptedTeacher

    class ForgetfulTeacher(ScriptedTeacher):
        """The scripted one keeps every ask for the tests to see: that would be memory of the benchmark's own."""

        async def answer(self, ask: Ask) -> Reply:
            self.calls.clear()
            return await super().answer(ask)

    table = folder / "modes.csv"
    rows = [f"machine {a},failure {m} of {a},seen {m}" for a in range(assets) for m in range(MODES)]
    table.write_text("\n".join(["Equipment,Failure mode,Example", *rows]) + "\n")
    workspace = Workspace(folder / "w")
    workspace.create()
    graph = open_store(
        "ladybug", workspace=workspace.root, owner=workspace.choices().id, settings=Settings()
    )
    with Ledger.open(workspace.ledger) as ledger:
        made = Derivation(workspace=workspace, ledger=ledger, graph=graph, split=read_split("none"))
        read = read_tables([table])
        tiers = frozenset("AB")
        derive.take(made, read, layout=None, role="source", sheet=None, tiers=tiers, starter=False)
        derive.bring_up_to_date(made)
        scopes = list(runs.scopes_for(made, [], Options(), all_assets=True).values())
        started = time.perf_counter()
        report = runs.expand_assets(
            made, scopes, teacher=ForgetfulTeacher(), budget=Budget(), on_event=lambda _: None
        )
        seconds = time.perf_counter() - started
    graph.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"assets": assets, "asks": report.calls, "seconds": seconds, "peak_mb": peak}))


def measure(assets: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        line = [
            sys.executable,
            "-m",
            "benchmarks.expand_all",
            "--child",
            folder,
            "--assets",
            str(assets),
        ]
        run = subprocess.run(line, cwd=HERE.parent, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(run.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=200)
    parser.add_argument("--child", type=Path)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.assets)
        return
    few, many = measure(FEW), measure(arguments.assets)
    results = {
        "few": few,
        "many": many,
        "mb_more": many["peak_mb"] - few["peak_mb"],
        "asks_per_second": many["asks"] / many["seconds"],
        "python": sys.version.split()[0],
        "cores": os.cpu_count(),
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "expand_all.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
