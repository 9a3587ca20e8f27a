"""P18: tokens/s of LoRA continued pre-training with the shape of Llama-3.1-8B on one GPU, against TRL's defaults on the same texts.

    python -m benchmarks.gpu.continued_pretraining FOLDER [--shape 8b] [--epochs 4] [--rounds 2]

Random weights, alia-cpt's stage (context 2048, bfloat16, two rows a step, packing), the topics of Python's language reference that fit into the
context, so that neither side cuts one, with SmolLM2's tokenizer. TRL's side is `SFTTrainer` with the same adapter, learning rate, context, rows a step and bfloat16 weights, all else as TRL has it (activation checkpointing, padding).
Rounds alternate (ours, TRL, TRL, ours, ...); each is a process of its own; the first three steps do not count; tokens are those that are not padding. FOLDER keeps the weights (16 GB). Writes
gpu/results/continued_pretraining.json; targets on an H200: at least 12,300 tokens/s and 1.25 of TRL's, the losses alike. `--shape small` tries the script without a GPU.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
UNCOUNTED = 3
SHAPES: dict[str, dict[str, Any]] = {
    "8b": {
        "vocab_size": 128_256,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500_000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
    "small": {
        "vocab_size": 49_152,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}
"""Llama-3.1-8B's own configuration, and one to try this file with."""
SMALLER = {"context": 256, "precision": "float32"}
"""What the try without a GPU changes of the recipe besides."""


def weights(folder: Path, shape: str) -> Path:
    """A model of a shape with random weights and SmolLM2's tokenizer, made once."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

    from kgkit.settings import read_settings
    from kgkit.teacher.pull import model_directory

    made = folder / f"llama-{shape}"
    if (made / "tokenizer.json").exists():  # which is written last
        return made
    tokenizer = AutoTokenizer.from_pretrained(
        model_directory("smollm2", cache_dir=read_settings().cache_dir)
    )
    torch.manual_seed(0)
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    config = LlamaConfig(**SHAPES[shape], bos_token_id=1, eos_token_id=2, tie_word_embeddings=False)
    with device:
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(made)
    tokenizer.save_pretrained(made)
    return made


def job(folder: Path, model: Path, shape: str, epochs: int) -> Any:
    """alia-cpt's stage on disk, over the texts that fit into its context."""
    from pydoc_data.topics import topics

    from transformers import AutoTokenizer

    from kgkit.finetune.job import Job
    from kgkit.finetune.recipe_files import find, read_recipe

    changes = {"stages.0.epochs": epochs, **(SMALLER if shape == "small" else {})}
    recipe = read_recipe(find("alia-cpt"), changes)
    made = Job(
        name="passages",
        folder=folder,
        model=model,
        adapter=None,
        recipe=recipe,
        stage=recipe.stages[0],
    )
    tokenizer = AutoTokenizer.from_pretrained(model)
    lengths = {text: len(tokenizer(text)["input_ids"]) + 1 for text in topics.values()}
    texts = [text for text, length in lengths.items() if length <= recipe.context]
    made.data.mkdir(parents=True)
    lines = [json.dumps({"text": text}) + "\n" for text in texts]
    (made.data / "train.jsonl").write_text("".join(lines), encoding="utf-8")
    made.write(rows=-(-sum(lengths[text] for text in texts) // recipe.context))
    return made


def ours(folder: Path) -> dict[str, Any]:
    """What a run through kgkit was seen to do."""
    from kgkit.finetune.engine import Step, train
    from kgkit.finetune.job import read_job

    made, rows = read_job(folder)
    seen: list[Step] = []
    found = train(made, rows=rows, on_step=seen.append)
    return summary([(one.tokens, one.seconds, one.loss) for one in seen], found.memory)


def trl(folder: Path) -> dict[str, Any]:
    """The same of TRL's trainer with its defaults."""
    import datasets
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from kgkit.finetune.engine import peak_memory
    from kgkit.finetune.job import read_job

    made, _ = read_job(folder)
    recipe, stage = made.recipe, made.stage
    assert recipe.lora is not None
    dtype = getattr(torch, recipe.precision)
    seen: list[tuple[int, float, float]] = []

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_log(self, _args: Any, _state: Any, _control: Any, logs: Any, **_: Any) -> None:
            if "loss" in logs:
                seen.append((int(logs["num_tokens"]), time.perf_counter(), float(logs["loss"])))

    with tempfile.TemporaryDirectory() as aside:
        SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(made.model, dtype=dtype),
            args=SFTConfig(
                output_dir=aside,
                max_length=recipe.context,
                per_device_train_batch_size=stage.batch,
                num_train_epochs=stage.epochs,
                learning_rate=stage.learning_rate,
                lr_scheduler_type=stage.schedule,
                warmup_steps=stage.warmup,
                weight_decay=stage.weight_decay,
                seed=recipe.seed,
                bf16=dtype == torch.bfloat16,
                use_cpu=not torch.accelerator.is_available(),
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=datasets.load_dataset(str(made.data), split="train", cache_dir=aside),
            peft_config=LoraConfig(
                r=recipe.lora.rank,
                lora_alpha=recipe.lora.alpha,
                lora_dropout=recipe.lora.dropout,
                target_modules=recipe.lora.targets,
                task_type="CAUSAL_LM",
            ),
            callbacks=[Watch()],
        ).train()
    return summary(seen, peak_memory())


def summary(steps: list[tuple[int, float, float]], memory: int) -> dict[str, Any]:
    """Of (tokens, seconds, loss) after each step: tokens/s of those that count, the mean loss of all, peak memory in bytes."""
    (before, began, _), (after, ended, _) = steps[UNCOUNTED - 1], steps[-1]
    return {
        "tokens_per_second": (after - before) / (ended - began),
        "tokens": after,
        "steps": len(steps),
        "loss": statistics.fmean(loss for _, _, loss in steps),
        "memory": memory,
    }


def hardware() -> str:
    """What it runs on."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "no GPU"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="8b")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", choices=["ours", "trl"])
    given = parser.parse_args()
    if given.one:
        print(json.dumps({"ours": ours, "trl": trl}[given.one](given.folder)))
        return
    model = weights(given.folder, given.shape)
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "trl": []}
    for number in range(given.rounds):
        for side in ("ours", "trl") if number % 2 == 0 else ("trl", "ours"):
            with tempfile.TemporaryDirectory(dir=given.folder) as name:
                made = job(Path(name), model, given.shape, given.epochs)
                command = [sys.executable, "-m", "benchmarks.gpu.continued_pretraining"]
                run = subprocess.run(
                    [*command, str(made.folder), "--one", side],
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            runs[side].append(json.loads(run.stdout.splitlines()[-1]))
            print({side: runs[side][-1]}, file=sys.stderr, flush=True)
    speed = {
        side: statistics.median(one["tokens_per_second"] for one in some)
        for side, some in runs.items()
    }
    losses = {side: statistics.median(one["loss"] for one in some) for side, some in runs.items()}
    results = {
        "shape": given.shape,
        "runs": runs,
        "tokens_per_second": speed["ours"],
        "ratio": speed["ours"] / speed["trl"],
        "loss_difference": losses["ours"] - losses["trl"],
        "hardware": hardware(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "transformers", "trl", "peft")},
    }
    text = json.dumps(results, indent=1) + "\n"
    if given.shape == "8b":
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / "continued_pretraining.json").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
