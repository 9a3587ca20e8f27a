"""Train a SentenceTransformer with the library's trainer: batches that are drawn already in, weights and a history out.

Run again on the same folder it goes on from the last whole checkpoint.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from kgkit.errors import KgkitError
from kgkit.finetune.embedder import losses
from kgkit.finetune.embedder.encoder import groups, quiet
from kgkit.finetune.embedder.recipe import EmbedderRecipe
from kgkit.finetune.embedder.sampler import Batch
from kgkit.finetune.engine import Step, last_checkpoint, peak_memory

Measure = Callable[[Any], dict[str, float]]
"""A model in memory -> what is chosen by, under `mean`, and its parts; empty where there is nothing to choose by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A training's end: losses by step, what was measured on the way, the step that is kept, seconds of this run alone."""

    losses: list[float]
    measured: list[dict[str, float]]
    kept_step: int
    seconds: float
    cpu_seconds: float
    memory: int
    resumed_at: int


def train(  # noqa: PLR0913 - one run, each part of it by name
    model: Any,  # noqa: ANN401 - the library's own
    recipe: EmbedderRecipe,
    batches: Sequence[Batch],
    table: losses.Table,
    *,
    folder: Path,
    tokens: Sequence[int],
    measure: Measure | None,
    on_step: Callable[[Step], None],
) -> Trained:
    """Train `model` where it is. `folder` takes checkpoints; `tokens`: of each step. Without `measure` nothing is chosen and saved.

    Raises KgkitError where the loss is no number any more: the last whole checkpoint stays.
    """
    import torch
    from transformers import set_seed

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    last = last_checkpoint(folder)
    with quiet():
        set_seed(recipe.seed)
        trainer = _trainer(
            batches,
            model=model,
            args=_arguments(recipe, batches, folder, save=measure is not None),
            train_dataset=_dataset(batches, recipe, table),
            loss=losses.build(recipe.loss, model, table),
            evaluator=_evaluator(measure) if measure else None,
            optimizers=(torch.optim.AdamW(groups(model, recipe)), None),
            callbacks=_callbacks(recipe, on_step, tokens, folder, stops=measure is not None),
        )
        start, cpu = time.perf_counter(), time.process_time()
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    history = trainer.state.log_history
    best = trainer.state.best_model_checkpoint if recipe.patience and measure else None
    return Trained(
        losses=[float(one["loss"]) for one in history if "loss" in one],
        measured=[_measured(one) for one in history if "eval_mean" in one],
        kept_step=int(best.rpartition("-")[2]) if best else trainer.state.global_step,
        seconds=seconds,
        cpu_seconds=cpu,
        memory=peak_memory(),
        resumed_at=int(last.name.rpartition("-")[2]) if last else 0,
    )


def _arguments(
    recipe: EmbedderRecipe, batches: Sequence[Batch], folder: Path, *, save: bool
) -> Any:  # noqa: ANN401
    import torch
    from sentence_transformers import SentenceTransformerTrainingArguments

    every = max(1, math.ceil(len(batches) / recipe.evaluations))
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        max_steps=len(batches),
        per_device_train_batch_size=recipe.batch,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        seed=recipe.seed,
        data_seed=recipe.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if save else "no",
        eval_steps=every,
        save_strategy="steps" if save else "no",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=save and recipe.patience is not None,
        metric_for_best_model="eval_mean",
        greater_is_better=True,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        use_cpu=not torch.accelerator.is_available(),
    )


def _dataset(batches: Sequence[Batch], recipe: EmbedderRecipe, table: losses.Table) -> Any:  # noqa: ANN401
    """All rows in the order of their steps: `query`, `item` where the loss takes pairs, and the label."""
    from datasets import Dataset

    rows = [row for batch in batches for row in batch]
    columns: dict[str, Any] = {"query": [row.text for row in rows]}
    if rows[0].item:
        columns["item"] = [row.item_text for row in rows]
    return Dataset.from_dict({**columns, "label": losses.labels(rows, recipe.loss, table)})


def _trainer(batches: Sequence[Batch], **said: Any) -> Any:  # noqa: ANN401
    """The library's trainer over batches as they were drawn, without what it prints and writes of its own accord."""
    from sentence_transformers import SentenceTransformerTrainer
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from transformers import PrinterCallback

    ends = list(accumulate(len(batch) for batch in batches))

    class Drawn(DefaultBatchSampler):  # type: ignore[misc]
        def __iter__(self) -> Iterator[list[int]]:
            for start, end in zip([0, *ends], ends, strict=False):
                yield list(range(start, end))

        def __len__(self) -> int:
            return len(ends)

    class Trainer(SentenceTransformerTrainer):  # type: ignore[misc]
        def get_batch_sampler(self, dataset: Any, *_: object, **said: Any) -> Drawn:  # noqa: ANN401
            return Drawn(dataset, batch_size=said["batch_size"], drop_last=False)

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """None: kgkit writes its own card, and the library's asks the hub about the base model."""

    trainer = Trainer(**said)
    trainer.remove_callback(PrinterCallback)
    return trainer


def _evaluator(measure: Measure) -> Any:  # noqa: ANN401
    from sentence_transformers.base.evaluation import BaseEvaluator

    class Dev(BaseEvaluator):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.primary_metric = "mean"

        def __call__(self, model: Any, *_: object, **__: object) -> dict[str, float]:  # noqa: ANN401
            return measure(model)

    return Dev()


def _callbacks(
    recipe: EmbedderRecipe,
    on_step: Callable[[Step], None],
    tokens: Sequence[int],
    folder: Path,
    *,
    stops: bool,
) -> list[Any]:
    from transformers import EarlyStoppingCallback, TrainerCallback

    through = list(accumulate(tokens))
    begun = time.perf_counter()

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ANN401
            if not logs or "loss" not in logs:
                return
            loss = float(logs["loss"])
            if not math.isfinite(loss) or not math.isfinite(float(logs.get("grad_norm", 0.0))):
                kept = last_checkpoint(folder)
                raise KgkitError(
                    f"{recipe.name}: the loss is {loss} at step {state.global_step}; {f'{kept.name} is kept' if kept else 'nothing was saved yet'}. "
                    "Lower learning_rate (--set learning_rate=...) or max_grad_norm, and begin anew"
                )
            on_step(
                Step(
                    step=state.global_step,
                    steps=state.max_steps,
                    loss=loss,
                    tokens=through[state.global_step - 1],
                    seconds=time.perf_counter() - begun,
                    memory=peak_memory(),
                )
            )

    watch = [Watch()]
    if recipe.patience and stops:
        return [*watch, EarlyStoppingCallback(early_stopping_patience=recipe.patience)]
    return watch


def _measured(logged: dict[str, Any]) -> dict[str, float]:
    """`{"step": 20, "mean": 0.5, "FM2S": 0.6}`."""
    ours = {name.removeprefix("eval_"): value for name, value in logged.items()}
    said = ("runtime", "samples_per_second", "steps_per_second", "epoch")
    return {name: round(float(value), 4) for name, value in ours.items() if name not in said}
