"""A stage in processes of its own: `accelerate launch --config_file CONFIG -m kgkit.finetune.worker STAGE_FOLDER`.

The first process tells each step as a line of JSON on stdout, leaves `trained.json` beside the weights and then says that it is done.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import yaml

from kgkit import content
from kgkit.errors import KgkitError, UsageError
from kgkit.finetune.engine import Step, Trained, train
from kgkit.finetune.job import number_format, read_job
from kgkit.workspace import write_atomically

TRAINED = "trained.json"
_STEP = "kgkit step "
_DONE = "kgkit done"
_END_WITHIN_S = 60.0
"""Processes whose training is done and kept, and that do not end by themselves, are ended."""
_TOLD = 2_000
"""Characters of what failed processes said that are shown."""


def launchers() -> list[str]:
    """The configurations of accelerate that come with kgkit."""
    return sorted(path.stem for path in content.path("finetune", "accelerate").glob("*.yaml"))


def launcher(name: str) -> Path:
    """A configuration of accelerate by name, or a file of the user's own. Raises UsageError, also where it wants a library that is not there."""
    if Path(name).suffix in (".yaml", ".yml"):
        found = Path(name)
    else:
        found = content.path("finetune", "accelerate") / f"{name}.yaml"
    if not found.is_file():
        raise UsageError(
            f"--launch {name}: there is no such configuration; choose from {', '.join(launchers())}, or a file that `accelerate config` made"
        )
    try:
        said = yaml.safe_load(content.text_of(found))
    except yaml.YAMLError as error:
        raise UsageError(f"{found}: is no YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(said, dict) or not isinstance(said.get("num_processes", 1), int):
        raise UsageError(
            f"{found}: is no configuration of accelerate: fields are expected, and num_processes as a number; `accelerate config` makes one"
        )
    wanted = said.get("distributed_type")
    if wanted == "DEEPSPEED" and importlib.util.find_spec("deepspeed") is None:
        raise UsageError(f"--launch {name}: DeepSpeed is not installed: pip install deepspeed")
    return found


def train_in_processes(
    folder: Path, configuration: Path, *, on_step: Callable[[Step], None], report_to: str
) -> Trained:
    """Train the stage in `folder` in as many processes as the configuration says. Raises KgkitError with what they said last."""
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(configuration),
        "-m", "kgkit.finetune.worker", str(folder), report_to,
    ]  # fmt: skip
    log = folder / "processes.log"
    code = follow(command, log, on_step=on_step)
    if code:
        said = log.read_text(encoding="utf-8", errors="replace")
        mine = [line for line in said.splitlines() if "kgkit: " in line]
        raise KgkitError(
            mine[0].partition("kgkit: ")[2]
            if mine
            else f"training ended with exit code {code}; {log} says: {said[-_TOLD:]}"
        )
    return read_trained(folder)


def follow(
    command: list[str],
    log: Path,
    *,
    on_step: Callable[[Step], None],
    end_within_s: float = _END_WITHIN_S,
) -> int:
    """Run `command` and tell its steps; its exit code, 0 as soon as it said that it is done, whatever becomes of it then."""
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as run,  # noqa: S603
    ):
        for line in run.stdout or ():
            if line.rstrip() == _DONE:
                break
            if line.startswith(_STEP):
                on_step(Step(**json.loads(line.removeprefix(_STEP))))
        else:
            return run.wait()
        for ending in (run.terminate, run.kill):  # accelerate passes the first on to its processes
            try:
                run.wait(end_within_s)
            except subprocess.TimeoutExpired:
                ending()
    return 0


def keep_trained(folder: Path, trained: Trained) -> None:
    """Note how a stage's training ended."""
    write_atomically(folder / TRAINED, json.dumps(asdict(trained)).encode())


def read_trained(folder: Path) -> Trained:
    """How a stage's training ended."""
    return Trained(**json.loads((folder / TRAINED).read_text(encoding="utf-8")))


def main(folder: Path, report_to: str) -> None:
    """Train the stage in `folder` as one of several processes."""
    import torch

    job, rows = read_job(folder)
    precise = number_format(job.recipe)  # the recipe says it, not the launcher's configuration
    os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16" if precise == "bfloat16" else "no"
    first = int(os.environ.get("RANK", "0")) == 0
    told = os.fdopen(os.dup(sys.stdout.fileno()), "w")

    def tell(step: Step) -> None:
        if first:
            told.write(f"{_STEP}{json.dumps(asdict(step))}\n")
            told.flush()

    try:
        trained = train(job, rows=rows, on_step=tell, report_to=report_to)
    except KgkitError as error:
        sys.stderr.write(f"kgkit: {error}\n")
        raise SystemExit(1) from None
    if first:
        keep_trained(folder, trained)
        told.write(f"{_DONE}\n")
        told.flush()
    if torch.distributed.is_initialized():  # else one that ends later may wait for ever at its end
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
