"""How busy `kgkit evaluate` keeps a vLLM server: tokens/s written in generate mode against `vllm bench serve` on prompts of the same kind.

    python -m benchmarks.evaluate_on_vllm URL PYTHON [--questions 64] [--concurrency 64] [--rounds 2]

URL: a running server (`make vllm`), as http://127.0.0.1:8000/v1; PYTHON: that of an environment with vllm and pandas. Rounds
alternate; every round asks other questions, so that neither finds the other's prompts in the server's cache. Both write at most 512
tokens greedily. Run by hand. Writes results/evaluate_on_vllm.json; target: at least 0.9.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from kgkit.cli import main as kgkit
from kgkit.evaluation.answering import answer_all
from kgkit.evaluation.asks import Way, asks_of
from kgkit.evaluation.models import Model
from kgkit.graph.open import open_store
from kgkit.questions.benchmark import read_benchmark
from kgkit.questions.making import make
from kgkit.questions.wording import read_wording
from kgkit.records import Question
from kgkit.settings import read_settings
from kgkit.splits import read_split
from kgkit.teacher.budget import Budget
from kgkit.teacher.facts import Facts
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.open import open_teacher
from kgkit.workspace import Workspace

HERE = Path(__file__).resolve().parent
WAY = Way(mode="generate", by="letters", examples=(), wording=read_wording("en"))
TOKENS = 512
BENCH = (
    "import argparse; from vllm.benchmarks import serve; parser = argparse.ArgumentParser();"
    " serve.add_cli_args(parser); serve.main(parser.parse_args())"
)
"""`vllm bench serve`, also where vllm is installed without its command."""


def questions(work: Path, count: int) -> list[Question]:
    """Questions about all assets, in no order."""
    try:
        kgkit(["--workspace", str(work), "-q", "load"])
    except SystemExit as end:
        if end.code:
            raise
    owner = Workspace(work).choices().id
    graph = open_store("ladybug", workspace=work, owner=owner, settings=read_settings())
    sides = ["train", "dev", "held_out"]
    wanted = read_benchmark("fmsr").model_copy(update={"counts": {"single": count}, "sides": sides})
    found = make(wanted, graph, read_split("default")).questions
    graph.close()
    return found


def ours(url: str, some: list[Question], folder: Path) -> tuple[float, int]:
    """Seconds and tokens written for all of them through kgkit, ledger and all."""
    with Ledger.open(folder / f"{some[0].id}.sqlite") as ledger:
        teacher = open_teacher(
            url,
            model="",
            settings=read_settings(),
            ledger=ledger,
            facts=lambda: Facts(assets={}, training=frozenset()),
        )
        model = Model(name=teacher.name, teacher=teacher, chat=True)
        written: list[int] = []
        start = time.perf_counter()
        answered = answer_all(
            model,
            some,
            WAY,
            robust=False,
            ledger=ledger,
            budget=Budget(),
            on_event=lambda event: written.append(event.tokens_out),
        )
        seconds = time.perf_counter() - start
    errors = [one.error for one in answered.outcomes["plain"].values() if one.error]
    if errors or answered.unasked:
        raise SystemExit(f"{len(errors)} errors, {answered.unasked} not asked")
    return seconds, sum(written)


def theirs(
    url: str, python: str, some: list[Question], folder: Path, concurrency: int
) -> tuple[float, int]:
    """Seconds and tokens written for all of them through vllm's own benchmark client."""
    prompts = folder / "prompts.jsonl"
    texts = [asks_of(one, WAY, identity=lambda _: "m")[0].messages[-1].content for one in some]
    lines = [json.dumps({"prompt": text, "output_tokens": TOKENS}) for text in texts]
    prompts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    served = "smollm2"
    command = [
        python,
        "-c",
        BENCH,
        "--backend",
        "openai-chat",
        "--base-url",
        url.removesuffix("/v1"),
    ]
    command += [
        "--endpoint",
        "/v1/chat/completions",
        "--model",
        served,
        "--served-model-name",
        served,
    ]
    command += ["--tokenizer", str(read_settings().cache_dir / "models" / "smollm2")]
    command += [
        "--dataset-name",
        "custom",
        "--dataset-path",
        str(prompts),
        "--num-prompts",
        str(len(some)),
    ]
    command += ["--custom-output-len", str(TOKENS), "--max-concurrency", str(concurrency)]
    command += ["--temperature", "0", "--disable-shuffle", "--num-warmups", "0"]
    command += ["--save-result", "--result-dir", str(folder), "--result-filename", "bench.json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = json.loads((folder / "bench.json").read_text(encoding="utf-8"))
    if found["completed"] != len(some):
        raise SystemExit(f"vllm bench serve completed {found['completed']} of {len(some)}")
    return float(found["duration"]), int(found["total_output_tokens"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("python")
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    runs: dict[str, list[tuple[float, int]]] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        each = given.questions
        found = questions(folder / "w", 2 * given.rounds * each)
        for number in range(2 * given.rounds):
            some = found[number * each : (number + 1) * each]
            if number % 4 in (0, 3):
                runs["ours"].append(ours(given.url, some, folder))
            else:
                runs["theirs"].append(
                    theirs(given.url, given.python, some, folder, given.concurrency)
                )
            print(runs, flush=True)
    rates = {
        name: statistics.median(tokens / seconds for seconds, tokens in some)
        for name, some in runs.items()
    }
    results = {
        "questions": given.questions,
        "seconds": {name: [seconds for seconds, _ in some] for name, some in runs.items()},
        "tokens": {name: [tokens for _, tokens in some] for name, some in runs.items()},
        "tokens_per_second": rates,
        "ratio": rates["ours"] / rates["theirs"],
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    text = json.dumps(results, indent=1) + "\n"
    (HERE / "results" / "evaluate_on_vllm.json").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
