"""What a run would take: tokens and steps counted, hours and memory measured on a few steps here, and estimated for other machines."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kgkit.finetune.engine import Step, train
from kgkit.finetune.job import steps_of
from kgkit.finetune.memory import Size, size_of
from kgkit.finetune.prepared import Prepared, sequences

STEPS = 3
_USED = 0.4
"""Share of a GPU's dense bfloat16 operations that training is taken to reach."""
OTHERS: Mapping[str, float] = {"one H200": 989e12, "2 x A100": 2 * 312e12}
"""Machine -> dense bfloat16 operations a second, as its maker says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """One stage: rows and tokens of all epochs, steps; `seconds` and `memory` (bytes) as STEPS steps here say."""

    name: str
    rows: int
    tokens: int
    steps: int
    seconds: float
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """All stages, and hours on other machines: estimates from operations, not measured."""

    stages: Sequence[StagePlan]
    size: Size
    estimated_hours: Mapping[str, float]

    def as_json(self) -> dict[str, object]:
        """The plan as the command line prints it."""
        return {
            "stages": [
                {
                    "name": one.name, "rows": one.rows, "tokens": one.tokens, "steps": one.steps,
                    "hours_here": float(f"{one.seconds / 3600:.3g}"), "memory_gb": round(one.memory / 1e9, 2),
                }
                for one in self.stages
            ],
            "measured_steps": STEPS,
            "parameters": self.size.parameters,
            "trained_parameters": self.size.trained,
            "estimated_hours": {name: float(f"{hours:.3g}") for name, hours in self.estimated_hours.items()},
        }  # fmt: skip


def plan(prepared: Prepared) -> RunPlan:
    """Count, and train STEPS steps of each stage aside. Raises KgkitError where these fail."""
    stages = [_stage(prepared, number) for number in range(len(prepared.jobs))]
    size = size_of(prepared.recipe, prepared.model)
    operations = size.operations_per_token * sum(stage.tokens for stage in stages)
    return RunPlan(
        stages=stages,
        size=size,
        estimated_hours={
            name: operations / (_USED * speed) / 3600 for name, speed in OTHERS.items()
        },
    )


def _stage(prepared: Prepared, number: int) -> StagePlan:
    job, mixed = prepared.jobs[number], prepared.mixed[number]
    stage, rows = job.stage, sequences(job, mixed)
    steps = steps_of(stage, rows)
    seen: list[Step] = []
    with tempfile.TemporaryDirectory(prefix="kgkit-plan-") as aside:
        # as if it began anew: its weights are written aside, the data is read where it is
        trial = replace(
            job, model=prepared.model, adapter=None, weights_in=Path(aside), steps=min(STEPS, steps)
        )
        train(trial, rows=rows, on_step=seen.append)
    each = (
        (seen[-1].seconds - seen[0].seconds) / (len(seen) - 1) if len(seen) > 1 else seen[0].seconds
    )
    return StagePlan(
        name=stage.name,
        rows=round(sum(mixed.rows.values()) * stage.epochs),
        tokens=round(sum(mixed.tokens.values()) * stage.epochs),
        steps=steps,
        seconds=each * steps,
        memory=seen[-1].memory,
    )
