"""What a run would take: tokens and steps counted, hours and memory measured on a few steps here, and estimated for other machines."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kgkit.finetune import memory
from kgkit.finetune.activations import activation_bytes, step_bytes
from kgkit.finetune.engine import Step, TooLittleMemoryError, train
from kgkit.finetune.job import Job, number_format, steps_of
from kgkit.finetune.mixture import Mixed
from kgkit.finetune.prepared import Prepared, sequences

STEPS = 3
_USED = 0.4
"""Share of a GPU's dense bfloat16 operations that training is taken to reach."""
_LIBRARIES_BYTES = 600_000_000
"""What a process holds that has loaded torch, transformers and TRL, and no model yet."""
_LEAST_STEP = 0.1
"""Seconds that a step is taken to last at least on a GPU, which starts thousands of kernels however small the model is."""
OTHERS: Mapping[str, tuple[int, float, float]] = {
    "one H200": (1, 989e12, 141e9),
    "2 x A100": (2, 312e12, 80e9),
}
"""Machine -> GPUs, and of each dense bfloat16 operations a second and bytes of memory, as its maker says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """One stage: rows and tokens of all epochs, steps; `seconds` and `memory` (bytes) as STEPS steps here say, None where it does not fit here."""

    name: str
    rows: int
    tokens: int
    steps: int
    seconds: float | None
    memory: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """All stages, and what they would take elsewhere: hours by machine, and bytes on each GPU. Estimates from operations and tensors, not measured."""

    stages: Sequence[StagePlan]
    size: memory.Size
    estimated_hours: Mapping[str, float]
    estimated_memory: int

    def as_json(self) -> dict[str, object]:
        """The plan as the command line prints it."""
        return {
            "stages": [
                {
                    "name": one.name, "rows": one.rows, "tokens": one.tokens, "steps": one.steps,
                    "hours_here": None if one.seconds is None else float(f"{one.seconds / 3600:.3g}"),
                    "memory_gb": None if one.memory is None else round(one.memory / 1e9, 2),
                }
                for one in self.stages
            ],
            "measured_steps": STEPS,
            "parameters": self.size.parameters,
            "trained_parameters": self.size.trained,
            "estimated_hours": {name: float(f"{hours:.3g}") for name, hours in self.estimated_hours.items()},
            "estimated_gpu_memory_gb": float(f"{self.estimated_memory / 1e9:.3g}"),
        }  # fmt: skip


def short_of_memory(prepared: Prepared) -> tuple[int, int] | None:
    """About the bytes that the run takes and those that are free, where on a CPU these are fewer: weights, gradients, optimizer, libraries, and what a step keeps of rows of mean length."""
    import torch

    if torch.cuda.is_available():
        return None
    size = memory.size_of(prepared.recipe, prepared.model)
    wide = 2 if prepared.recipe.lora and number_format(prepared.recipe) == "float32" else 1
    kept = max(
        activation_bytes(
            replace(job, model=prepared.model),
            tokens=job.stage.batch * (2 if job.stage.preference else 1) * _mean(mixed, job),
        )
        for job, mixed in zip(prepared.jobs, prepared.mixed, strict=True)
    )
    wanted, free = size.least_bytes + wide * kept + _LIBRARIES_BYTES, memory.free_bytes()
    return (wanted, free) if wanted > free else None


def _mean(mixed: Mixed, job: Job) -> int:
    """Tokens of a sequence of the stage."""
    return -(-sum(mixed.tokens.values()) // sequences(job, mixed))


def plan(prepared: Prepared) -> RunPlan:
    """Count, and train STEPS steps of each stage aside where it fits. Raises KgkitError where these fail."""
    size = memory.size_of(prepared.recipe, prepared.model)
    here = memory.trains_here(prepared.recipe, size)
    stages = [_stage(prepared, number, here=here) for number in range(len(prepared.jobs))]
    operations = sum(
        memory.operations_per_token(prepared.recipe, job.stage, size) * one.tokens
        for job, one in zip(prepared.jobs, stages, strict=True)
    )
    least = _LEAST_STEP * sum(stage.steps for stage in stages)
    return RunPlan(
        stages=stages,
        size=size,
        estimated_hours={
            name: max(operations / (_USED * speed), least) / gpus / 3600
            for name, (gpus, speed, _) in OTHERS.items()
        },
        estimated_memory=size.on_gpu
        + max(step_bytes(replace(job, model=prepared.model)) for job in prepared.jobs),
    )


def _stage(prepared: Prepared, number: int, *, here: bool) -> StagePlan:
    job, mixed = prepared.jobs[number], prepared.mixed[number]
    stage, rows = job.stage, sequences(job, mixed)
    steps = steps_of(stage, rows)
    seen = _tried(prepared, number, rows=rows, steps=min(STEPS, steps)) if here else []
    first, last = (seen[0], seen[-1]) if seen else (None, None)
    each = None
    if first and last:
        each = (last.seconds - first.seconds) / (len(seen) - 1) if len(seen) > 1 else last.seconds
    return StagePlan(
        name=stage.name,
        rows=round(sum(mixed.rows.values()) * stage.epochs),
        tokens=round(sum(mixed.tokens.values()) * stage.epochs),
        steps=steps,
        seconds=None if each is None else each * steps,
        memory=last.memory if last else None,
    )


def _tried(prepared: Prepared, number: int, *, rows: int, steps: int) -> list[Step]:
    """Some steps of a stage, as if it began anew, none where they do not fit; its data is read where it is, nothing is saved."""
    seen: list[Step] = []
    with tempfile.TemporaryDirectory(prefix="kgkit-plan-") as aside:
        trial = replace(
            prepared.jobs[number],
            model=prepared.model,
            adapter=None,
            weights_in=Path(aside),
            steps=steps,
        )
        try:
            train(trial, rows=rows, on_step=seen.append)
        except TooLittleMemoryError:
            seen = []
        memory.give_back_memory()  # else the next trial begins with this one's model beside
    return seen
