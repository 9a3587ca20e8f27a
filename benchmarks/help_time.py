"""P15: how long `kgkit --help` takes, beside an empty Python and beside `import openai`, and what it imports.

python benchmarks/help_time.py [--rounds 15]: prints a table and writes benchmarks/results/help_time.json.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "help_time.json"
HEAVY = ("torch", "transformers", "pandas", "pyarrow", "openai", "neo4j", "ladybug", "openpyxl")
COMMANDS = {
    "kgkit --help": [sys.executable, "-m", "kgkit", "--help"],
    "python -c pass": [sys.executable, "-c", "pass"],
    "import openai": [sys.executable, "-c", "import openai"],
}
LOADED = f"""
import contextlib, io, sys
from kgkit.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main(["--help"])
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""


def milliseconds(command: list[str]) -> float:
    """Wall time of one process, start to end."""
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    for command in COMMANDS.values():  # bytecode and the file cache are warm for all of them
        milliseconds(command)
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds):
        for name in list(COMMANDS) if number % 2 == 0 else list(COMMANDS)[::-1]:
            taken[name].append(milliseconds(COMMANDS[name]))
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    median = {name: round(statistics.median(times), 1) for name, times in taken.items()}
    document = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "rounds": rounds,
        "median_ms": median,
        "slowest_over_fastest": {n: round(max(t) / min(t), 2) for n, t in taken.items()},
        "heavy_modules": loaded,
        "heavy_modules_count": len(loaded),
    }
    for name, value in median.items():
        print(f"{name:16} {value:8.1f} ms   slowest {max(taken[name]):.0f} ms of {rounds}")
    print(f"heavy modules imported: {', '.join(loaded) or 'none'}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
