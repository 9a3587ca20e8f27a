"""P19: the time of a training step of `kgkit finetune` against a bare PyTorch loop over the same model, batches and adapter, on CPU.

    python -m benchmarks.train_step [--steps 12] [--rounds 3] [--rows 16]

SmolLM2-135M with small-sft's adapter, rows of its data from the starter tables, all of one length in tokens, so that batches are of one shape in
whatever order they come; rounds alternate (ours, bare, bare, ours, ...); each is a process of its own, the first two steps do not count. The bare loop reads the output head at labelled places
alone, as TRL does: a loop that reads it everywhere is slower. Writes results/train_step.json; target: at most 1.05.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kgkit.finetune.rows import Row

HERE = Path(__file__).resolve().parent
UNCOUNTED = 2


def job(folder: Path, steps: int, rows: int) -> Any:
    """The first rows of small-sft's data as a stage on disk."""
    from kgkit.cli import main as kgkit
    from kgkit.finetune import mixture
    from kgkit.finetune.cells import statement_rows
    from kgkit.finetune.counted import Length
    from kgkit.finetune.job import Job
    from kgkit.finetune.recipe import StatementsPart
    from kgkit.finetune.recipe_files import find, read_recipe
    from kgkit.graph.open import open_store
    from kgkit.settings import read_settings
    from kgkit.splits import read_split
    from kgkit.teacher.pull import model_directory
    from kgkit.workspace import Workspace

    work, settings = folder / "w", read_settings()
    try:
        kgkit(["--workspace", str(work), "-q", "load"])
    except SystemExit as end:
        if end.code:
            raise
    owner = Workspace(work).choices().id
    graph = open_store("ladybug", workspace=work, owner=owner, settings=settings)
    changes = {
        "stages.0.batch": rows,
        "stages.0.accumulation": 1,
        "stages.0.epochs": 1,
    }
    recipe = read_recipe(find("small-sft"), changes)
    part = recipe.stages[0].data[0]
    assert isinstance(part, StatementsPart)
    split = read_split("default")
    model = model_directory("smollm2", cache_dir=settings.cache_dir).resolve()
    some = of_one_length(statement_rows(part, graph, split, seed=0, left_out=Counter()), model)
    some = some[: steps * rows]
    graph.close()
    made = Job(
        name="answers",
        folder=folder / "stage",
        model=model,
        adapter=None,
        recipe=recipe,
        stage=recipe.stages[0],
    )
    mixture.write([(row, Length(1, cut=False)) for row in some], made.data)
    made.write(rows=len(some))
    return made


def of_one_length(rows: "Iterable[Row]", model: Path) -> "list[Row]":
    """Those of the rows that have the most frequent number of tokens."""
    from transformers import AutoTokenizer

    from kgkit.finetune.recipe_files import template

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = template("chatml").read_text()
    by_length: dict[int, list[Row]] = {}
    for row in rows:
        turns = [*row.prompt, *row.completion]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        by_length.setdefault(len(tokenizer(text)["input_ids"]), []).append(row)
    return max(by_length.values(), key=len)


def ours(folder: Path) -> list[float]:
    """Seconds of each step through kgkit."""
    from dataclasses import replace

    from kgkit.finetune.engine import Step, train
    from kgkit.finetune.job import read_job

    made, rows = read_job(folder)
    seen: list[Step] = []
    with tempfile.TemporaryDirectory() as aside:
        steps = rows // made.stage.batch
        train(replace(made, weights_in=Path(aside), steps=steps), rows=rows, on_step=seen.append)
    times = [step.seconds for step in seen]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def bare(folder: Path) -> list[float]:
    """Seconds of each step of a plain loop."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from kgkit.finetune.job import read_job
    from kgkit.finetune.recipe_files import template

    made, _ = read_job(folder)
    recipe, stage = made.recipe, made.stage
    assert recipe.lora is not None
    tokenizer = AutoTokenizer.from_pretrained(made.model)
    if recipe.chat_template:
        tokenizer.chat_template = template(recipe.chat_template).read_text()
    model = AutoModelForCausalLM.from_pretrained(made.model, dtype=torch.float32)
    lora = made.model_arguments()
    config = LoraConfig(
        r=lora["lora_r"],
        lora_alpha=lora["lora_alpha"],
        lora_dropout=lora["lora_dropout"],
        target_modules=lora["lora_target_modules"],
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, config).train()
    inner = model.get_base_model()
    trained = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=stage.learning_rate, weight_decay=stage.weight_decay)
    encoded = []
    for line in (made.data / "train.jsonl").read_text().splitlines():
        row = json.loads(line)
        prompt = tokenizer.apply_chat_template(
            row["prompt"], add_generation_prompt=True, tokenize=False
        )
        whole = tokenizer.apply_chat_template([*row["prompt"], *row["completion"]], tokenize=False)
        ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
        encoded.append((ids, len(tokenizer(prompt, add_special_tokens=False)["input_ids"])))
    seconds = []
    for start in range(0, len(encoded) - stage.batch + 1, stage.batch):
        began = time.perf_counter()
        some = encoded[start : start + stage.batch]
        width = max(len(ids) for ids, _ in some)
        ids = torch.tensor([row + [0] * (width - len(row)) for row, _ in some])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in some])
        labels = torch.tensor(
            [[-100] * at + row[at:] + [-100] * (width - len(row)) for row, at in some]
        )
        hidden = inner.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        wanted = labels[:, 1:] != -100
        logits = inner.lm_head(hidden[:, :-1][wanted])
        loss = torch.nn.functional.cross_entropy(logits, labels[:, 1:][wanted])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, stage.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        seconds.append(time.perf_counter() - began)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--one", choices=["ours", "bare"])
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(ours(given.folder) if given.one == "ours" else bare(given.folder)))
        return
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    with tempfile.TemporaryDirectory() as name:
        folder = job(Path(name), given.steps, given.rows).folder
        for number in range(given.rounds):
            for which in ("ours", "bare") if number % 2 == 0 else ("bare", "ours"):
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.train_step",
                    "--one",
                    which,
                    "--folder",
                    str(folder),
                ]
                run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                steps = json.loads(run.stdout.splitlines()[-1])
                seconds[which].append(statistics.median(steps[UNCOUNTED:]))
                print({which: [round(one, 3) for one in steps]}, file=sys.stderr, flush=True)
    found = {name: statistics.median(some) for name, some in seconds.items()}
    results = {
        "rows": given.rows,
        "seconds_per_step": {name: seconds[name] for name in found},
        "ratio": found["ours"] / found["bare"],
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    text = json.dumps(results, indent=1) + "\n"
    (HERE / "results" / "train_step.json").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
