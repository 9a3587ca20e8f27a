"""Train one stage with TRL's SFTTrainer, DPOTrainer or GKDTrainer: a dataset and a job in, weights and a history of losses out.

Run again on the same job it goes on from the last whole checkpoint. Nothing here knows of graphs or questions.
"""

import contextlib
import errno
import json
import math
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgkit.errors import KgkitError
from kgkit.finetune.distillation import as_tokens, teacher_of
from kgkit.finetune.job import Job, number_format
from kgkit.finetune.measuring import callbacks
from kgkit.finetune.memory import keep_freed_memory
from kgkit.finetune.output_head import read_labelled_places_alone
from kgkit.finetune.recipe_files import template
from kgkit.finetune.shared_prefixes import compute_shared_prefixes_once
from kgkit.teacher.pull import quiet_transformers

if TYPE_CHECKING:
    from transformers import TrainerCallback

_STATE = "trainer_state.json"
_PICKLED = "training_args.bin"
"""What transformers leaves beside weights as a pickle, and reads nowhere."""
_TOKENS, _SECONDS = "tokens", "seconds"
"""What every entry of a history of losses has besides."""
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class TooLittleMemoryError(KgkitError):
    """A step does not fit the memory of the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is known after a step: `tokens` and `seconds` since the beginning, also of runs before this one; peak memory of the process in bytes."""

    step: int
    steps: int
    loss: float
    tokens: int
    seconds: float
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A stage's end: losses by step, tokens that went through the model, seconds of all runs that it took, peak memory in bytes."""

    losses: list[float]
    history: list[dict[str, float]]
    tokens: int
    seconds: float
    memory: int
    resumed_at: int


def train(
    job: Job, *, rows: int, on_step: Callable[[Step], None], report_to: str = "none"
) -> Trained:
    """Train the job's stage; its weights stand in `job.weights`.

    Raises KgkitError where the loss is no number any more, or the disk is full: the last whole checkpoint stays.
    """
    import torch
    from transformers import set_seed

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    keep_freed_memory()
    read_labelled_places_alone()
    forget_peak_memory()
    last = last_checkpoint(job.weights)
    with _told(job), quiet_transformers(), _quiet():
        set_seed(job.recipe.seed)
        config, kind, more = _way(job)
        arguments = config(
            **job.arguments(rows=rows, report_to=report_to),
            **_model_init(job),
            use_cpu=not torch.accelerator.is_available(),  # else several processes there would not know each other
        )
        trainer = kind(
            model=_model(job),
            args=arguments,
            train_dataset=_dataset(job),
            processing_class=_tokenizer(job),
            peft_config=_adapter(job),
            callbacks=[_watch(on_step, job), *callbacks(job)],
            **more,
        )
        compute_shared_prefixes_once(trainer.model)
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        if not job.steps:
            trainer.save_model(str(job.weights))
            (job.weights / _PICKLED).unlink(missing_ok=True)
        trainer.end()
    history = [one for one in trainer.state.log_history if "loss" in one]
    return Trained(
        losses=[float(one["loss"]) for one in history],
        history=history,
        tokens=int(history[-1][_TOKENS]) if history else 0,
        seconds=history[-1][_SECONDS] if history else 0.0,
        memory=peak_memory(),
        resumed_at=_step_of(last) if last else 0,
    )


def _tokens(logged: Mapping[str, Any], *, before: float) -> int:
    """Through the model since the beginning: TRL's trainers count those of this run, transformers' own all."""
    if "num_tokens" in logged:
        return int(before + logged["num_tokens"])
    return int(logged.get("num_input_tokens_seen", 0))


def last_checkpoint(weights: Path) -> Path | None:
    """The last checkpoint that was written to its end."""
    found = sorted(weights.glob("checkpoint-*"), key=_step_of, reverse=True)
    return next((one for one in found if _is_whole(one)), None)


def forget_peak_memory() -> None:
    """Let `peak_memory` begin anew, where the system can."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory() -> int:
    """The most memory in bytes that was in use since `forget_peak_memory`: the GPU's where there is one, else this process's."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _is_whole(checkpoint: Path) -> bool:
    """Whether its state, which is written last, can be read."""
    try:
        json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _way(job: Job) -> tuple[Any, Any, dict[str, Any]]:
    """TRL's configuration and trainer for the stage, and what that trainer is given besides."""
    import trl

    teacher = teacher_of(job.stage)
    if teacher is None:
        more = {} if job.adapter else {"quantization_config": _quantization(job)}
        if job.stage.preference:
            return trl.DPOConfig, trl.DPOTrainer, more
        return trl.SFTConfig, trl.SFTTrainer, more
    import torch
    from transformers import AutoModelForCausalLM

    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    dtype = getattr(torch, number_format(job.recipe))
    model = AutoModelForCausalLM.from_pretrained(teacher, dtype=dtype, local_files_only=True)
    return GKDConfig, GKDTrainer, {"teacher_model": model}


def _model_init(job: Job) -> dict[str, Any]:
    """How TRL loads a model that it is given by name."""
    if job.adapter:
        return {}
    return {"model_init_kwargs": {"dtype": job.model_arguments()["dtype"]}}


def _model(job: Job) -> Any:  # noqa: ANN401 - a path, or a model of peft
    if not job.adapter:
        return str(job.model)
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    dtype = getattr(torch, job.model_arguments()["dtype"])
    base = AutoModelForCausalLM.from_pretrained(
        job.model, dtype=dtype, local_files_only=True, quantization_config=_quantization(job)
    )
    return PeftModel.from_pretrained(base, job.adapter, is_trainable=True, local_files_only=True)


def _tokenizer(job: Job) -> Any:  # noqa: ANN401 - transformers' own
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job.model, local_files_only=True)
    if job.stage.by_rows_alone and job.recipe.chat_template:  # TRL's SFT reads the file itself
        path = template(job.recipe.chat_template)
        tokenizer.chat_template = path.read_text(encoding="utf-8")
    return tokenizer


def _adapter(job: Job) -> Any:  # noqa: ANN401 - peft's own
    if job.recipe.lora is None or job.adapter:
        return None
    from trl import ModelConfig, get_peft_config

    return get_peft_config(ModelConfig(**job.model_arguments()))


def _quantization(job: Job) -> Any:  # noqa: ANN401 - transformers' own
    if not job.recipe.quantized:
        return None
    from trl import ModelConfig, get_quantization_config

    return get_quantization_config(ModelConfig(**job.model_arguments()))


def _dataset(job: Job) -> Any:  # noqa: ANN401 - datasets' own
    import datasets

    datasets.disable_progress_bars()
    cache = str(job.data / ".cache")
    data = datasets.load_dataset(str(job.data), split="train", cache_dir=cache)
    if not job.stage.distillation:
        return data
    return as_tokens(data, _tokenizer(job), job.recipe.context)


def _watch(on_step: Callable[[Step], None], job: Job) -> "TrainerCallback":
    """Tells of every step, and stops at a loss that is no number, before that state is saved. What it counts is kept with the losses."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self._begun = time.perf_counter()
            self._before = {_TOKENS: 0.0, _SECONDS: 0.0}

        def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:  # noqa: ANN401
            self._begun = time.perf_counter()
            for one in state.log_history:
                self._before |= {name: one[name] for name in self._before if name in one}

        def on_save(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:  # noqa: ANN401
            saved = job.weights / f"checkpoint-{state.global_step}"
            (saved / _PICKLED).unlink(missing_ok=True)

        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ANN401
            if not logs or "loss" not in logs:
                return
            loss = float(logs["loss"])
            if not math.isfinite(loss) or not math.isfinite(float(logs.get("grad_norm", 0.0))):
                last = last_checkpoint(job.weights)
                kept = (
                    f"step {_step_of(last)} is kept in {last}" if last else "nothing was saved yet"
                )
                what = (
                    f"the gradient's norm is {logs['grad_norm']}"
                    if math.isfinite(loss)
                    else f"the loss is {loss}"
                )
                raise KgkitError(
                    f"{job.name}: {what} at step {state.global_step}; {kept}. "
                    "Lower learning_rate (--set stages.0.learning_rate=...) or max_grad_norm, and begin anew"
                )
            tokens = _tokens(logs, before=self._before[_TOKENS])
            seconds = self._before[_SECONDS] + time.perf_counter() - self._begun
            state.log_history[-1] |= {_TOKENS: tokens, _SECONDS: seconds}
            on_step(
                Step(
                    step=state.global_step,
                    steps=state.max_steps,
                    loss=loss,
                    tokens=tokens,
                    seconds=seconds,
                    memory=peak_memory(),
                )
            )

    return Watch()


@contextlib.contextmanager
def _told(job: Job) -> Iterator[None]:
    """Say what the user can do about what the libraries raise when a disk or the memory is full."""
    from safetensors import SafetensorError

    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise KgkitError(_full(job)) from error
    except (RuntimeError, SafetensorError) as error:
        said = str(error)
        if "out of memory" in said or "can't allocate memory" in said:
            raise TooLittleMemoryError(
                f"{job.name}: too little memory: lower stages.N.batch (and raise accumulation), context, or set checkpointing=true"
            ) from error
        if "No space left" in said or "I/O error" in said or "unexpected pos" in said:
            raise KgkitError(_full(job)) from error
        raise


def _full(job: Job) -> str:
    last = last_checkpoint(job.weights)
    kept = f"step {_step_of(last)} is kept" if last else "nothing was saved yet"
    return f"{job.weights}: the disk is full; {kept}. Free some space and run the same command with --resume"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what is logged as a dictionary per step off stdout, which the watcher tells, and what libraries tell each other."""
    with (
        warnings.catch_warnings(),
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        warnings.simplefilter("ignore", FutureWarning)
        yield
