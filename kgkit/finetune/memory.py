"""What a training run needs at least, counted before a weight is read: parameters, memory, operations for a token; and memory kept between steps."""

import ctypes
import gc
import importlib.util
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from kgkit.errors import UsageError
from kgkit.finetune.distillation import teacher_of
from kgkit.finetune.job import adapted, number_format
from kgkit.finetune.recipe import Lora, Recipe, Stage

_OPTIMIZER_BYTES = 16
"""For each trained parameter: itself, its gradient and AdamW's two moments, in float32."""
_CGROUPS = {
    Path("/sys/fs/cgroup"): ("memory.max", "memory.current", "inactive_file"),
    Path("/sys/fs/cgroup/memory"): ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}  # fmt: skip
"""Where Linux says what a container may take, what it has taken, and what of that files hold and give back: version 2 and version 1."""
_ZERO_OF_WEIGHTS = 3
"""DeepSpeed's stage that parts the weights; those before it part gradients and the optimizer."""
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
"""Of glibc's malloc.h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A model under a recipe. `least_bytes`: weights, also of a teacher or a reference beside, gradients and optimizer, without any activation; `on_gpu`: in bfloat16."""

    parameters: int
    trained: int
    least_bytes: int
    on_gpu: int


def size_of(recipe: Recipe, model: Path) -> Size:
    """The size of a model directory under a recipe."""
    parameters = sum(_shapes(model))
    trained = _adapter(recipe.lora, model) if recipe.lora else parameters
    frozen = 0 if not recipe.lora else parameters
    each = 0.5 if recipe.quantized else 2 if number_format(recipe) == "bfloat16" else 4
    teachers = {one for stage in recipe.stages if (one := teacher_of(stage))}
    beside = max((sum(_shapes(one)) for one in teachers), default=0)
    held = trained * _OPTIMIZER_BYTES
    if not recipe.lora and any(stage.preference for stage in recipe.stages):
        held += 4 * parameters  # the reference of DPO; with an adapter the frozen weights are it
    return Size(
        parameters=parameters,
        trained=trained,
        least_bytes=round((frozen + beside) * each + held),
        on_gpu=round((frozen + beside) * (0.5 if recipe.quantized else 2) + held),
    )


def operations_per_token(recipe: Recipe, stage: Stage, size: Size) -> float:
    """Of a stage's training, two for each parameter that a token goes through on each way: there and back, a teacher's and a reference's way there."""
    ways = 1 + (2 if not recipe.lora else 1) + recipe.checkpointing + (stage.preference is not None)
    teacher = teacher_of(stage)
    return 2.0 * (ways * size.parameters + (sum(_shapes(teacher)) if teacher else 0))


def require_one_device() -> None:
    """Raise UsageError where this process alone would train on several GPUs."""
    import torch

    if (gpus := torch.cuda.device_count()) > 1:
        raise UsageError(
            f"{gpus} GPUs are at hand: add --launch ddp to train on all of them, or set CUDA_VISIBLE_DEVICES=0 to take one (--plan wants one)"
        )


def require_machine(recipe: Recipe, model: Path, launch: Path | None = None) -> None:
    """Raise UsageError for 4 bits without CUDA, and where the weights alone do not fit what is free. `launch`: accelerate's configuration of several processes."""
    if not _can_quantize(recipe):
        raise UsageError(
            f"{recipe.name}: quantized is true, which needs a GPU with CUDA and bitsandbytes (pip install bitsandbytes); --set quantized=false trains without"
        )
    need, free = size_of(recipe, model).least_bytes * share_of_device(launch), free_bytes()
    if need > free:
        raise UsageError(
            f"{model.name}: training by {recipe.name} needs {need / 1e9:.1f} GB for weights, gradients and optimizer alone, and {free / 1e9:.1f} GB are free; "
            "take a smaller model, a lora of fewer ranks, precision=bfloat16, or a GPU with quantized=true"
        )


def share_of_device(launch: Path | None) -> float:
    """What of a run a device holds: all, or its part where processes part the weights (FSDP, DeepSpeed's third stage: on GPUs alone); a CPU holds that of all processes."""
    import torch

    if launch is None:
        return 1.0
    said = yaml.safe_load(launch.read_text(encoding="utf-8"))
    processes = int(said.get("num_processes") or 1)
    if not torch.cuda.is_available():
        return float(processes)
    zero = said.get("deepspeed_config") or {}
    parted = said.get("distributed_type") == "FSDP" or zero.get("zero_stage") == _ZERO_OF_WEIGHTS
    return 1 / processes if parted else 1.0


def give_back_memory() -> None:
    """Free what a trainer or a measured model leaves: both stand in circles of references, and the next one is as large."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def trains_here(recipe: Recipe, size: Size) -> bool:
    """Whether this machine has room for the weights, gradients and optimizer, and CUDA where 4 bits want it."""
    return _can_quantize(recipe) and size.least_bytes <= free_bytes()


def _can_quantize(recipe: Recipe) -> bool:
    import torch

    cuda = torch.cuda.is_available() and importlib.util.find_spec("bitsandbytes") is not None
    return cuda or not recipe.quantized


def keep_freed_memory() -> None:
    """Have glibc keep what a step frees for the next one. It gives large blocks back, and fetching them anew took a sixth of a CPU's time."""
    with suppress(OSError, AttributeError):  # other C libraries have no such thing
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
        mallopt(_M_TOP_PAD, 64 << 20)


def free_bytes() -> int:
    """Memory that is free: the GPU's where there is one, else this machine's, or what is left of a container's limit."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 1 << 62
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    return min(free, *map(_left_of_limit, _CGROUPS))


def _left_of_limit(group: Path) -> int:
    """What a control group may take yet."""
    limit, used, files = _CGROUPS[group]
    try:
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        held = next(int(line.split()[1]) for line in lines if line.startswith(f"{files} "))
        limit, used = ((group / name).read_text(encoding="ascii") for name in (limit, used))
        return int(limit) - int(used) + held
    except (OSError, ValueError, StopIteration):  # there is none, or it is without limit ("max")
        return 1 << 62


def _shapes(model: Path) -> list[int]:
    """The number of values of each tensor in a model directory."""
    from safetensors import safe_open

    found = []
    for file in sorted(model.glob("*.safetensors")):
        with safe_open(file, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - it is no dictionary
                count = 1
                for side in weights.get_slice(name).get_shape():
                    count *= side
                found.append(count)
    return found


def _adapter(lora: Lora, model: Path) -> int:
    """The parameters of an adapter."""
    return lora.rank * sum(sum(sides) for sides in adapted(lora, model).values())
