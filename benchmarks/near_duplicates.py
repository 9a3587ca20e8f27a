"""P12, P13: near-duplicates, whole text to keep list, against datasketch and datatrove; recall and precision; 350k passages.

    python -m benchmarks.near_duplicates [--texts 20000] [--rounds 3] [--size 350000] [--datatrove PYTHON]

Each round gives the same texts to each in a process of its own and one after the other (A B C, C B A); figures are medians. All
take one process and runs of 5 words; datasketch is the plain way of its manual (a MinHash and a query for each document, 128
permutations, 0.8). datatrove is no dependency: `--datatrove` names a Python that has it, else it is not measured. Quality is
against exact Jaccard of all pairs, computed here on the words as texts. Writes results/near_duplicates.json.
"""

import argparse
import itertools
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.passages import ASSETS, MODES, SENSORS, passages

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "near_duplicates.json"
NOT_INSTALLED = "not installed"

# Each reads a JSONL file and prints seconds, how many texts it keeps, and its peak memory; imports do not count.
_READ = r"""
import json, re, sys, time
def texts():
    for line in open(sys.argv[1], encoding="utf-8"):
        row = json.loads(line)
        yield row["id"], row["text"]
def done(start, kept, **more):
    wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    peak = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024
    print(json.dumps({"seconds": wall, "cpu_seconds": cpu, "kept": kept, "peak_mb": peak, **more}))
"""
OURS = (
    _READ
    + r"""
from itertools import islice
from kgkit.corpora.curation import read_spec
from kgkit.corpora.near_duplicates import DuplicateSearch
from kgkit.corpora.shingles import plain_text, words
words(["warm"])
start = time.perf_counter(), time.process_time()
search, rest, count = DuplicateSearch(read_spec().duplicates), texts(), 0
while batch := list(islice(rest, 500)):
    plain = [plain_text(text) for _, text in batch]
    search.add([id for id, _ in batch], [""] * len(batch), plain, words(plain))
    count += len(batch)
found = search.found()
more = {"pairs": [(d.id, d.duplicate_of, d.jaccard) for d in found]} if len(sys.argv) > 2 else {}
done(start, count - len(found), exact=sum(d.exact for d in found), near=sum(not d.exact for d in found), **more)
"""
)
DATASKETCH = (
    _READ
    + r"""
from datasketch import MinHash, MinHashLSH
word = re.compile(r"\w+")
start = time.perf_counter(), time.process_time()
lsh, kept = MinHashLSH(threshold=0.8, num_perm=128), 0
for id, text in texts():
    words = word.findall(text.lower())
    sketch = MinHash(num_perm=128)
    sketch.update_batch([" ".join(words[i : i + 5]).encode() for i in range(max(len(words) - 4, 1))])
    if not lsh.query(sketch):
        lsh.insert(id, sketch)
        kept += 1
done(start, kept)
"""
)
DATATROVE = (
    _READ
    + r"""
import pathlib, tempfile
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
config, source = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8), pathlib.Path(sys.argv[1])
read = lambda: JsonlReader(str(source.parent), glob_pattern=source.name)
start = time.perf_counter(), time.process_time()
with tempfile.TemporaryDirectory() as at:
    steps = (
        ([read(), MinhashDedupSignature(output_folder=at + "/s", config=config)], 1),
        ([MinhashDedupBuckets(input_folder=at + "/s", output_folder=at + "/b", config=config)], 14),
        ([MinhashDedupCluster(input_folder=at + "/b", output_folder=at + "/c", config=config)], 1),
        ([read(), MinhashDedupFilter(input_folder=at + "/c"), JsonlWriter(at + "/o", compression=None)], 1),
    )
    for number, (pipeline, tasks) in enumerate(steps):
        LocalPipelineExecutor(pipeline=pipeline, tasks=tasks, workers=1, logging_dir=f"{at}/log{number}").run()
    done(start, sum(1 for file in pathlib.Path(at, "o").glob("*") for _ in file.open()))
"""
)
ALL = (
    _READ
    + r"""
from kgkit.corpora.curate import curate
from kgkit.corpora.curation import CuratedInput, read_spec
from kgkit.expand.scope import names_pattern
from kgkit.splits import read_split
held_out = names_pattern(read_split("default").held_out_names())
stems = json.load(open(sys.argv[2], encoding="utf-8"))
start = time.perf_counter(), time.process_time()
inputs = (CuratedInput(id=id, kind="", group="", text=text) for id, text in texts())
curation = curate(inputs, spec=read_spec(), held_out=held_out, stems=stems)
report = dict(curation.report)
done(start, 0, reasons=report["reasons"], leaks=report["leaks"])
"""
)


def in_process(code: str, *arguments: str, python: str = sys.executable) -> dict:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "PYTHONHASHSEED": "0"}
    run = subprocess.run(
        [python, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        sys.exit(run.stderr[-2000:])
    result = json.loads(run.stdout.splitlines()[-1])
    said = {name: value for name, value in result.items() if name != "pairs"}
    print(said, file=sys.stderr, flush=True)
    return result


def has(python: str, module: str) -> bool:
    return not subprocess.run(
        [python, "-c", f"import {module}"], capture_output=True, check=False
    ).returncode


def write(path: Path, count: int, seed: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for id_, _, _, text in passages(count, seed):
            file.write(json.dumps({"id": id_, "text": text}) + "\n")
    return path


def speed(folder: Path, texts: int, rounds: int, datatrove: str) -> dict:
    source = write(folder / "texts.jsonl", texts, seed=1)
    turns = [("kgkit", OURS, sys.executable)]
    if has(sys.executable, "datasketch"):
        turns.append(("datasketch", DATASKETCH, sys.executable))
    if has(datatrove, "datatrove"):
        turns.append(("datatrove", DATATROVE, datatrove))
    seconds: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    kept = {}
    for number in range(rounds):
        for name, code, python in turns if number % 2 == 0 else turns[::-1]:
            run = in_process(code, str(source), python=python)
            seconds[name].append(run["seconds"])
            cpu[name].append(run["cpu_seconds"])
            kept[name] = run["kept"]
    rate = {name: texts / statistics.median(times) for name, times in seconds.items()}
    work = {name: statistics.median(times) for name, times in cpu.items()}
    return {
        "texts": texts,
        "rounds": rounds,
        "texts_per_second": {name: round(value) for name, value in rate.items()},
        "texts_per_cpu_second": {name: round(texts / value) for name, value in work.items()},
        "ratios": {
            name: {
                "wall": round(rate["kgkit"] / rate[name], 2),
                "cpu": round(work[name] / work["kgkit"], 2),
            }
            if name in rate
            else NOT_INSTALLED
            for name in ("datasketch", "datatrove")
        },
        "kept": kept,
        "cpu_spread": {name: round(max(t) / min(t) - 1, 2) for name, t in cpu.items()},
    }


def exact_pairs(texts: dict[str, str]) -> dict[tuple[str, str], float]:
    """Every pair that shares a run of 5 words -> its Jaccard similarity, by counting; no hashing, no sketches."""
    places, sizes = defaultdict(list), {}
    for id_, text in texts.items():
        words = re.findall(r"[^\W_]+", text.lower())
        grams = {tuple(words[i : i + 5]) for i in range(max(len(words) - 4, 1))}
        sizes[id_] = len(grams)
        for gram in grams:
            places[gram].append(id_)
    common: Counter[tuple[str, str]] = Counter()
    for ids in places.values():
        common.update((one, other) for at, one in enumerate(ids) for other in ids[at + 1 :])
    return {pair: n / (sizes[pair[0]] + sizes[pair[1]] - n) for pair, n in common.items()}


def quality(folder: Path, count: int = 5_000) -> dict:
    """Recall: pairs at 0.8 or more of which we keep at most one. Precision: texts left out that are so like the kept one."""
    source = write(folder / "quality.jsonl", count, seed=2)
    exact = exact_pairs({id_: text for id_, _, _, text in passages(count, seed=2)})
    found = in_process(OURS, str(source), "pairs")["pairs"]
    left_out = {id_ for id_, _, _ in found}
    alike = [pair for pair, similarity in exact.items() if similarity >= 0.8]
    met = sum(bool(left_out & set(pair)) for pair in alike)
    right = sum(exact.get(tuple(sorted((id_, of))), 0) >= 0.8 for id_, of, _ in found)
    error = max(abs(exact.get(tuple(sorted((id_, of))), 0) - said) for id_, of, said in found)
    return {
        "texts": count,
        "pairs": len(alike),
        "recall": round(met / len(alike), 4),
        "left_out": len(found),
        "precision": round(right / len(found), 4),
        "largest_error_of_a_similarity": round(error, 5),
    }


def stems(count: int) -> list[str]:
    """Questions like FailureSensorIQ's: few turns of phrase, many names."""
    forms = (
        "Which sensor out of the choices responds first when {m} occurs on the {a} in spite of normal {s}?",
        "For the {a}, if {s} rises and {m} is suspected, which of the following parameters should be trended next?",
        "What is the most relevant failure mode of the {a} to monitor with {s}, when {m} has been ruled out before?",
        "When {m} is present in the {a}, which measurement other than {s} is not useful to detect it at an early stage?",
    )
    names = list(itertools.product(forms, MODES, ASSETS, SENSORS))
    step = len(names) // count
    return [form.format(m=mode, a=asset, s=sensor) for form, mode, asset, sensor in names[::step]][
        :count
    ]


def figures(run: dict, texts: int) -> dict:
    rounded = {name: round(value, 1) for name, value in run.items() if isinstance(value, float)}
    return {"texts": texts, **run, **rounded}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=350_000)
    parser.add_argument("--datatrove", default=sys.executable, metavar="PYTHON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = {
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
            "speed": speed(folder, arguments.texts, arguments.rounds, arguments.datatrove),
            "quality": quality(folder),
        }
        source = write(folder / "all.jsonl", arguments.size, seed=1)
        result["full_size"] = figures(in_process(OURS, str(source)), arguments.size)
        questions = folder / "questions.json"
        questions.write_text(json.dumps(stems(3_000)), encoding="utf-8")
        whole = in_process(ALL, str(source), str(questions))
        result["full_size_with_filters_and_leaks"] = figures(whole, arguments.size)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
