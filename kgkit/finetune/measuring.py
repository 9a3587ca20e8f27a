"""Measure beside training: the losses of answers and explanations apart at every step, their gradients every so many steps.

Every stage of a run is measured on the same explained rows, in the same order, also one that learns answers alone. Nothing of this changes
what is learned: no gradient is kept, no number is drawn. What a killed run measured is kept up to the checkpoint that it goes on from.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgkit.errors import KgkitError
from kgkit.finetune.gradients import Measure, Spans, apart, measure, spans
from kgkit.finetune.job import Job
from kgkit.finetune.recipe import Gradients
from kgkit.finetune.rows import Row
from kgkit.records import digest
from kgkit.workspace import write_atomically

if TYPE_CHECKING:
    from transformers import TrainerCallback

EXPLAINED = "explained.jsonl"
"""The explained rows of all stages of a run, in a stage's folder."""
STEPS = "loss-apart.jsonl"
MEASURES = "gradients.jsonl"
_APART = ("NO", "MULTI_CPU", "MULTI_GPU")
"""Where every process holds all that is trained."""


def keep_rows(jobs: Sequence[Job], rows: Sequence[Row]) -> None:
    """Leave the explained rows of a run beside each of its stages, in a drawn order; nothing where none is explained."""
    found = {
        digest([row.prompt, row.completion]): {
            "prompt": list(row.prompt),
            "completion": list(row.completion),
            "why": row.why,
        }
        for row in rows
        if row.why
    }
    if not found:
        return
    data = "".join(json.dumps(found[key], ensure_ascii=False) + "\n" for key in sorted(found))
    for job in jobs:
        write_atomically(job.folder / EXPLAINED, data.encode())


def callbacks(job: Job) -> "list[TrainerCallback]":
    """What measures a stage as its recipe says; nothing where no row is explained, where other things are learned than answers, and in a trial of a few steps."""
    if (
        job.stage.by_rows_alone
        or job.recipe.gradients is None
        or job.steps
        or not (job.folder / EXPLAINED).exists()
    ):
        return []
    return [_callback(_Beside(job.folder, job.recipe.gradients, job.recipe.context))]


def measures(folder: Path) -> list[Measure]:
    """What was measured in a stage's folder, step by step."""
    return [Measure(**said) for said in _lines(folder / MEASURES)]


class _Beside:
    """What is measured of one stage, in its folder."""

    def __init__(self, folder: Path, settings: Gradients, context: int) -> None:
        self._folder, self._settings, self._context = folder, settings, context
        self._sums: dict[str, float] = {}
        self._spans: list[Spans] = []
        self._known: dict[tuple[int, ...], Spans] = {}
        self._hook: Any = None

    def begin(self, model: Any, tokenizer: Any, step: int) -> None:  # noqa: ANN401 - transformers' own
        """Training begins, or goes on after a step."""
        rows = _lines(self._folder / EXPLAINED)
        self._spans = [spans(row, tokenizer, context=self._context) for row in rows]
        self._known = {one.ids: one for one in self._spans}
        for name in (STEPS, MEASURES):
            _keep_until(self._folder / name, step)
        self._hook = model.register_forward_hook(self._count, with_kwargs=True)
        if step == 0:
            self._measure(model, 0)

    def stepped(self, model: Any, step: int) -> None:  # noqa: ANN401 - transformers' own
        """A step is done."""
        if self._hook is None:
            return
        _append(self._folder / STEPS, {"step": step, **self._sums})
        self._sums = {}
        if step % self._settings.every == 0:
            self._measure(model, step)

    def end(self) -> None:
        """Training has ended."""
        if self._hook is not None:
            self._hook.remove()

    def _count(self, model: Any, _args: Any, given: Mapping[str, Any], output: Any) -> None:  # noqa: ANN401
        if model.training and given.get("labels") is not None:
            for name, value in apart(given, output, self._known).items():
                self._sums[name] = self._sums.get(name, 0.0) + value

    def _measure(self, model: Any, step: int) -> None:  # noqa: ANN401
        """The next rows in turn: the same at the same step of every stage."""
        first = step // self._settings.every * self._settings.rows
        some = [self._spans[(first + at) % len(self._spans)] for at in range(self._settings.rows)]
        _append(self._folder / MEASURES, asdict(measure(model, some, step=step)))


def _callback(beside: _Beside) -> "TrainerCallback":
    from transformers import TrainerCallback

    class Gradient(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, _control: Any, **given: Any) -> None:  # noqa: ANN401
            _require_whole(args)
            if state.is_world_process_zero:
                beside.begin(given["model"], given["processing_class"], state.global_step)

        def on_step_end(self, _args: Any, state: Any, _control: Any, **given: Any) -> None:  # noqa: ANN401
            beside.stepped(given["model"], state.global_step)

        def on_train_end(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
            beside.end()

    return Gradient()


def _require_whole(args: Any) -> None:  # noqa: ANN401
    kind = args.distributed_state.distributed_type.name if args.distributed_state else "NO"
    if kind not in _APART:
        raise KgkitError(
            f"gradients are measured where every process holds all that is trained, not under {kind}; use --launch ddp, or --set gradients=null"
        )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def _append(path: Path, said: Mapping[str, object]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(said) + "\n")


def _keep_until(path: Path, step: int) -> None:
    """Forget what is of later steps: they are done again."""
    kept = [json.dumps(said) + "\n" for said in _whole_lines(path) if said["step"] <= step and step]
    write_atomically(path, "".join(kept).encode())


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file that a killed process may have left with half a line."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                return
