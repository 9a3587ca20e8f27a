"""Calls per second, CPU per call and memory of the asking, beside a bare asyncio client on the same stub.

    python benchmarks/teacher_calls.py [--rounds 5] [--memory-calls 60000]

The stub is another process with 50 ms latency. Rounds run A B B A; the figures are medians. Ours goes all the
way: an Ask is made, sent through the SDK, and its reply is on the disk (SQLite, synchronous = FULL).
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from kgkit.records import Ask, Message, Sampling, Subject  # noqa: E402
from kgkit.teacher.asking import Asker  # noqa: E402
from kgkit.teacher.endpoint import EndpointFacts, EndpointTeacher  # noqa: E402
from kgkit.teacher.ledger import Ledger  # noqa: E402
from kgkit.teacher.limits import Policy  # noqa: E402

FILLER = (
    "The pump moves water from the basin to the boiler and its bearings are oil lubricated. " * 10
)


def make_ask(number: int) -> Ask:
    return Ask(
        stage="bench",
        prompt="bench",
        prompt_version="1",
        messages=(Message(role="user", content=f"{FILLER} Item {number}: describe it."),),
        schema=None,
        sampling=Sampling(temperature=0.0, max_tokens=400),
        model="stub",
        subject=Subject(asset="pump"),
    )


async def bare(url: str, first: int, calls: int, concurrency: int) -> None:
    """As little as a client can do: a pool of workers, one session, JSON in, JSON out."""
    numbers = iter(range(first, first + calls))
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def worker() -> None:
            for number in numbers:
                content = f"{FILLER} Item {number}: describe it."
                body = {
                    "model": "stub",
                    "messages": [{"role": "user", "content": content}],
                    "temperature": 0.0,
                    "seed": 0,
                    "max_tokens": 400,
                }
                async with session.post(url + "/chat/completions", json=body) as response:
                    reply = json.loads(await response.read())
                    assert reply["choices"][0]["message"]["content"]

        await asyncio.gather(*(worker() for _ in range(concurrency)))


async def ours(url: str, first: int, calls: int, concurrency: int, folder: Path) -> None:
    facts = EndpointFacts(model="stub")
    teacher = EndpointTeacher(url, facts, concurrency=concurrency)
    with Ledger.open(folder / f"{first}.sqlite") as ledger:
        policy = Policy(max_concurrency=concurrency)
        async with Asker(teacher, ledger, policy=policy) as asker:
            done = 0
            async for _ in asker.answers(make_ask(n) for n in range(first, first + calls)):
                done += 1
    await teacher.close()
    assert done == calls


def timed(work, calls: int) -> tuple[float, float]:
    """Calls per second and CPU milliseconds per call."""
    cpu, wall = time.process_time(), time.perf_counter()
    asyncio.run(work)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return calls / wall, 1000 * cpu / calls


def compare(url: str, calls: int, concurrency: int, rounds: int) -> dict[str, float]:
    """Medians over `rounds` of A B B A."""
    first = 0
    figures: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for who in ("bare", "ours") if number % 2 == 0 else ("ours", "bare"):
                first += calls
                work = (
                    bare(url, first, calls, concurrency)
                    if who == "bare"
                    else ours(url, first, calls, concurrency, Path(folder))
                )
                figures[who].append(timed(work, calls))
    speed = {who: statistics.median(rate for rate, _ in seen) for who, seen in figures.items()}
    rates = [rate for rate, _ in figures["bare"]]
    return {
        "concurrency": concurrency,
        "calls": calls,
        "rounds": rounds,
        "bare_calls_per_s": round(speed["bare"], 1),
        "ours_calls_per_s": round(speed["ours"], 1),
        "ratio": round(speed["ours"] / speed["bare"], 3),
        "bare_cpu_ms": round(statistics.median(cpu for _, cpu in figures["bare"]), 3),
        "ours_cpu_ms": round(statistics.median(cpu for _, cpu in figures["ours"]), 3),
        "bare_spread": round((max(rates) - min(rates)) / statistics.median(rates), 3),
    }


def memory(url: str, calls: int) -> dict[str, float]:
    """Resident memory after `calls` calls less that after 1,000, in MB, within one run."""

    async def run(folder: Path) -> tuple[float, float]:
        teacher = EndpointTeacher(url, EndpointFacts(model="stub"), concurrency=64)
        early = 0.0
        with Ledger.open(folder / "memory.sqlite") as ledger:
            async with Asker(teacher, ledger, policy=Policy(max_concurrency=64)) as asker:
                done = 0
                async for _ in asker.answers(make_ask(-n - 1) for n in range(calls)):
                    done += 1
                    if done == 1000:
                        early = resident_mb()
                late = resident_mb()
        await teacher.close()
        return early, late

    with tempfile.TemporaryDirectory() as folder:
        early, late = asyncio.run(run(Path(folder)))
    return {"calls": calls, "mb_at_1000": round(early, 1), "mb_more_at_end": round(late - early, 1)}


def resident_mb() -> float:
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def stub(latency: float, slow_share: float = 0.0) -> "tuple[subprocess.Popen[str], str]":
    command = [sys.executable, str(HERE.parent / "tests" / "fault_server.py"), "--fixed"]
    command += ["--latency", str(latency), "--slow-share", str(slow_share)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-calls", type=int, default=20_000)
    given = parser.parse_args()
    results: dict[str, object] = {"cpus": os.cpu_count(), "python": platform.python_version()}
    for name, calls, concurrency, slow_share in (
        ("P1 C=32", 640, 32, 0.0),
        ("P1 C=256", 4096, 256, 0.0),
        ("P2 C=32, 2 % slow", 640, 32, 0.02),
    ):
        process, url = stub(0.05, slow_share)
        try:
            figures = compare(url, calls, concurrency, given.rounds)
        finally:
            process.terminate()
            process.wait()
        results[name] = figures
        print(
            f"{name:20} bare {figures['bare_calls_per_s']:7.1f}/s {figures['bare_cpu_ms']:.2f} ms CPU   "
            f"ours {figures['ours_calls_per_s']:7.1f}/s {figures['ours_cpu_ms']:.2f} ms CPU   "
            f"ratio {figures['ratio']:.3f}   spread of bare {figures['bare_spread']:.0%}"
        )
    process, url = stub(0.0)
    try:
        results["P5"] = memory(url, given.memory_calls)
    finally:
        process.terminate()
        process.wait()
    print(f"P5 memory            {results['P5']}")
    out = HERE / "results" / "teacher_calls.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
