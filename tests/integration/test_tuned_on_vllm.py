"""What kgkit trained, on a real vLLM: merged weights as a model of their own, an adapter put on its base by vLLM."""

import contextlib
import math
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kgkit.settings import read_settings
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.serve import cpu_number_format, ensure_cpu_environment, serving
from tests.integration.evaluated import beliefs
from tests.integration.models import smollm2
from tests.integration.vllm_server import ENVIRONMENT
from tests.walk import kgkit

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(3000)]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that learned a little, with its adapter and its merged weights."""
    smollm2()
    workspace = tmp_path_factory.mktemp("tuned") / "w"
    kgkit("load", "--starter", workspace=workspace)
    few = ("stages.0.tokens=6000", "stages.0.epochs=1", "evaluate=[]", "retain=false")
    changed = [word for one in few for word in ("--set", one)]
    line = ("finetune", "small-sft", *changed, "--merge", "--json")
    return Path(kgkit(*line, workspace=workspace).json["model"])


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def with_adapter(base: Path, adapter: Path, log: Path) -> Iterator[str]:
    """vLLM on the base with the adapter as the model `tuned`, with the flags that docs/finetuning.md tells; its address."""
    port = free_port()
    command = [str(ensure_cpu_environment(ENVIRONMENT.resolve())), "-m"]
    command += ["vllm.entrypoints.openai.api_server", "--model", str(base)]
    command += ["--port", str(port), "--host", "127.0.0.1", "--max-model-len", "2048"]
    command += ["--enforce-eager", "--dtype", cpu_number_format()]
    command += ["--enable-lora", "--max-lora-rank", "32", "--lora-modules", f"tuned={adapter}"]
    command += ["--chat-template", str(adapter / "chat_template.jinja")]
    offline = {"HF_HUB_OFFLINE": "1", "VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "2"}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdout=output, stderr=output, env=os.environ | offline, start_new_session=True
        ) as server,
    ):
        try:
            deadline = time.monotonic() + 600
            while not answers(f"http://127.0.0.1:{port}/health"):
                assert server.poll() is None, log.read_text(errors="replace")[-2000:]
                assert time.monotonic() < deadline, "vLLM does not answer"
                time.sleep(1)
            yield f"http://127.0.0.1:{port}/v1#tuned"
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    """Whether a server answers there."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def apart(some: list[float], others: list[float]) -> float:
    """Root mean square of the differences."""
    return math.dist(some, others) / math.sqrt(len(some))


def test_merged_weights_believe_on_vllm_what_the_adapter_does_here(tuned: Path) -> None:
    workspace = tuned.parents[1]
    line = ("evaluate", "fmsr", "--plain", "--by", "statements", "--limit", "24", "--model")
    kgkit(*line, f"local:{tuned}", workspace=workspace)
    kgkit(*line, "local:smollm2", workspace=workspace)
    with serving(
        tuned / "merged",
        port=free_port(),
        cache_dir=read_settings().cache_dir,
        cpu_environment=ENVIRONMENT,
    ) as server:
        kgkit(*line, server.url, workspace=workspace)
    adapter, base, merged = beliefs(workspace)
    assert len(merged) > 24
    assert apart(merged, adapter) < 0.2
    assert apart(merged, base) > 0.4


def test_an_adapter_writes_on_vllm_what_it_writes_here(tuned: Path, tmp_path: Path) -> None:
    workspace = tuned.parents[1]
    line = ("evaluate", "fmsr", "--plain", "--mode", "generate", "--limit", "24", "--model")
    for model in (f"local:{tuned}", "local:smollm2"):
        kgkit(*line, model, workspace=workspace)
    with with_adapter(smollm2(), tuned, tmp_path / "vllm.log") as url:
        kgkit(*line, url, workspace=workspace)
    adapter, base, there = (written(workspace, name) for name in ("small-sft", "smollm2@", "tuned"))
    assert len(there) > 10
    assert alike(there, adapter) >= 0.75 * len(there)
    assert alike(there, base) < 0.5 * len(there)


def written(workspace: Path, model: str) -> dict[str, str]:
    """The texts that a model wrote about the compressor, by the questions that it was asked."""
    found = {}
    with Ledger.open(workspace / "evaluations" / "ledger.sqlite", read_only=True) as ledger:
        for ask in ledger.asks(asset="compressor"):
            reply = ledger.reply(ask.id)
            if ask.model.startswith(model) and not ask.continuations and reply is not None:
                found[ask.messages[-1].content] = reply.text
    return found


def alike(some: dict[str, str], others: dict[str, str]) -> int:
    """How many texts are the same."""
    assert some.keys() == others.keys()
    return sum(some[asked] == others[asked] for asked in some)
