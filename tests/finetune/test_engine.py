"""Training goes on after a kill as if nothing had happened, stops with a clear word, and is what TRL's own command does."""

import json
import mmap
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kgkit import content
from kgkit.errors import KgkitError
from kgkit.finetune import engine
from kgkit.finetune.engine import forget_peak_memory, last_checkpoint, peak_memory, train
from kgkit.finetune.worker import (
    follow,
    launcher,
    launchers,
    read_trained,
    train_in_processes,
)
from tests.finetune.jobs import job
from tests.integration.models import WORDS

pytestmark = [pytest.mark.local, pytest.mark.timeout(600)]


def test_the_same_seed_gives_the_same_losses_and_the_model_learns(
    model: Path, tmp_path: Path
) -> None:
    changes = {"stages.0.epochs": 8, "stages.0.learning_rate": 0.02}
    first, again = (
        train(job(tmp_path / name, model, changes=changes), rows=24, on_step=lambda _: None)
        for name in "ab"
    )
    other = train(
        job(tmp_path / "c", model, changes={**changes, "seed": 1}), rows=24, on_step=lambda _: None
    )
    assert first.losses == again.losses
    assert first.losses != other.losses
    assert len(first.losses) == 48
    assert sum(first.losses[-6:]) < 0.8 * sum(first.losses[:6])
    assert (tmp_path / "a" / "weights" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("dropout", [0.1, 0.0], ids=["dropout", "shared prefixes"])
def test_a_run_that_was_killed_ends_with_the_same_losses(
    dropout: float, model: Path, tmp_path: Path
) -> None:
    changes = {"stages.0.epochs": 40, "lora.dropout": dropout}
    whole = train(job(tmp_path / "whole", model, changes=changes), rows=24, on_step=lambda _: None)
    cut = job(tmp_path / "cut", model, changes=changes)
    command = [sys.executable, "-m", "kgkit.finetune.worker", str(cut.folder), "none"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        while last_checkpoint(cut.weights) is None:
            assert run.poll() is None, "it ended before it was saved"
            time.sleep(0.05)
        os.kill(run.pid, signal.SIGKILL)
    assert not (cut.folder / "trained.json").exists()
    resumed = train(cut, rows=24, on_step=lambda _: None)
    assert 0 < resumed.resumed_at < len(whole.losses)
    assert len(resumed.losses) == len(whole.losses) == 240
    assert resumed.losses[-1] == pytest.approx(whole.losses[-1], abs=1e-6)
    assert resumed.losses == pytest.approx(whole.losses, abs=1e-6)
    assert resumed.tokens == whole.tokens
    assert [one["tokens"] for one in resumed.history] == [one["tokens"] for one in whole.history]
    times = [one["seconds"] for one in resumed.history]
    assert times == sorted(times)
    assert resumed.seconds == times[-1]


def test_training_computes_shared_prefixes_once_and_learns_the_same(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    read: list[int] = []

    def count(module: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        if isinstance(module, torch.nn.Embedding):
            read.append(given[0].numel())

    def trained(folder: Path) -> tuple[list[float], int]:
        read.clear()
        found = train(job(folder, model), rows=24, on_step=lambda _: None)
        return found.losses, sum(read)

    hook = torch.nn.modules.module.register_module_forward_pre_hook(count)
    try:
        losses, tokens = trained(tmp_path / "shared")
        monkeypatch.setattr(engine, "compute_shared_prefixes_once", lambda _: None)
        losses_apart, tokens_apart = trained(tmp_path / "apart")
    finally:
        hook.remove()
    assert 0 < tokens < tokens_apart
    assert losses == pytest.approx(losses_apart, abs=1e-5)


def test_what_is_packed_together_does_not_see_each_other(model: Path, tmp_path: Path) -> None:
    """Four texts in one sequence have the loss that they have in four rows, before anything is learned."""
    draw = random.Random(4)
    texts = [" ".join(draw.choices(WORDS, k=length)) for length in (5, 9, 14, 20)]
    rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    losses = []
    for packing, batch, sequences in ((True, 1, 1), (False, 4, 4)):
        changes = {"stages.0.packing": packing, "stages.0.batch": batch}
        made = job(tmp_path / f"packing {packing}", model, rows=sequences, changes=changes)
        (made.data / "train.jsonl").write_text(rows, encoding="utf-8")
        (loss,) = train(made, rows=sequences, on_step=lambda _: None).losses
        losses.append(loss)
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_tensorboard_reads_the_losses(model: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = job(tmp_path / "a", model)
    trained = train(made, rows=24, on_step=lambda _: None, report_to="tensorboard")
    (events,) = made.folder.rglob("events.out.tfevents.*")
    read = EventAccumulator(str(events.parent))
    read.Reload()
    losses = [one.value for one in read.Scalars("train/loss")]
    assert losses == pytest.approx(trained.losses, rel=1e-5)


def test_half_a_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    for step, state in ((5, "{}"), (10, '{"global_st')):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-15").mkdir()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-5"


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(
    model: Path, tmp_path: Path
) -> None:
    changes = {"stages.0.epochs": 20, "stages.0.learning_rate": 1e30, "stages.0.schedule": "constant_with_warmup", "stages.0.warmup": 0.5, "stages.0.max_grad_norm": 1e30}  # fmt: skip
    made = job(tmp_path / "a", model, changes=changes)
    with pytest.raises(
        KgkitError, match=r"answers: the loss is (nan|inf) at step \d+; .*Lower learning_rate"
    ):
        train(made, rows=24, on_step=lambda _: None)
    kept = last_checkpoint(made.weights)
    if kept:
        state = json.loads((kept / "trainer_state.json").read_text())
        assert all(one["loss"] == one["loss"] for one in state["log_history"])


@pytest.mark.parametrize("of_safetensors", [True, False])
def test_a_full_disk_stops_with_a_clear_word(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_safetensors: bool
) -> None:
    import safetensors.torch

    no_space = "No space left on device"

    def full_disk(number: int) -> Exception:
        if of_safetensors:
            said = f"Error while serializing: I/O error: {no_space} (os error {number})"
            return safetensors.SafetensorError(said)
        return OSError(number, no_space)

    made = job(tmp_path / "a", model)
    kept, saved = safetensors.torch.save_file, []

    def full(*arguments: object, **named: object) -> None:
        saved.append(1)
        if len(saved) > 1:
            raise full_disk(28)
        kept(*arguments, **named)

    for module in list(sys.modules.values()):
        if getattr(module, "safe_save_file", None) is kept:
            monkeypatch.setattr(module, "safe_save_file", full)
    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(
        KgkitError, match=r"the disk is full; step 1 is kept\. Free some space .* --resume"
    ):
        train(made, rows=24, on_step=lambda _: None)
    assert last_checkpoint(made.weights) == made.weights / "checkpoint-1"


def test_trl_on_the_files_that_are_left_gives_the_same_losses(model: Path, tmp_path: Path) -> None:
    made = job(tmp_path / "a", model)
    ours = train(made, rows=24, on_step=lambda _: None)
    command = [str(Path(sys.executable).with_name("trl")), "sft", "--config", str(made.folder / "trl.yaml"), "--output_dir", str(tmp_path / "b")]  # fmt: skip
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "output_dir: " + str(made.folder / "trl") in (made.folder / "trl.yaml").read_text()
    theirs = [float(found) for found in re.findall(r"'loss': '?([0-9.e-]+)", run.stdout)]
    assert len(theirs) == len(ours.losses) == 6
    assert theirs == pytest.approx(ours.losses, rel=1e-3)


@pytest.mark.long
def test_several_processes_take_the_number_format_of_the_recipe(
    model: Path, tmp_path: Path
) -> None:
    """Not that of the launcher's configuration, which for GPUs is bf16."""
    other = tmp_path / "bf16.yaml"
    text = launcher("cpu-2").read_text(encoding="utf-8")
    assert "mixed_precision: 'no'" in text
    other.write_text(text.replace("mixed_precision: 'no'", "mixed_precision: bf16"), "utf-8")
    losses = [
        train_in_processes(
            job(tmp_path / configuration.stem, model).folder,
            configuration,
            on_step=lambda _: None,
            report_to="none",
        ).losses
        for configuration in (launcher("cpu-2"), other)
    ]
    assert losses[0] == losses[1]


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK),
    reason="a process can begin its peak of memory anew only where /proc/self/clear_refs can be written",
)
def test_the_peak_of_memory_is_that_of_a_stage() -> None:
    with mmap.mmap(-1, 300 << 20) as block:
        block.write(b"x" * len(block))
        before = peak_memory()
    forget_peak_memory()
    assert peak_memory() < before - (200 << 20)


@pytest.mark.parametrize(
    "name",
    ["cpu-2", *(pytest.param(name, marks=pytest.mark.long) for name in ("fsdp", "deepspeed"))],
)
def test_two_processes_train_one_stage(
    name: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On CPUs accelerate's FSDP parts no model: `fsdp` shows there that its configuration is taken, and trains as `cpu-2` does. DeepSpeed parts the optimizer there as well."""
    made = job(tmp_path / "a", model)
    steps: list[int] = []
    configuration = launcher("cpu-2")
    if name == "fsdp":
        configuration = launcher(name)
    elif name == "deepspeed":
        monkeypatch.setenv("DS_ACCELERATOR", "cpu")
        pytest.importorskip(name, reason="not installed: pip install deepspeed")
        configuration = tmp_path / "cpu.yaml"
        here = launcher(name).read_text(encoding="utf-8").replace("use_cpu: false", "use_cpu: true")
        configuration.write_text(here.replace("mixed_precision: bf16", "mixed_precision: 'no'"))
    trained = train_in_processes(
        made.folder,
        configuration,
        on_step=lambda step: steps.append(step.step),
        report_to="none",
    )
    assert steps == [1, 2, 3]
    assert len(trained.losses) == 3
    assert read_trained(made.folder) == trained
    assert (made.weights / "adapter_model.safetensors").is_file()
    assert bool(list(made.weights.glob("*/global_step*"))) is (name == "deepspeed")


@pytest.mark.parametrize("name", launchers())
def test_accelerate_reads_what_is_launched(name: str) -> None:
    """Also the configurations that want GPUs."""
    from accelerate.commands.config.config_args import load_config_from_file

    read = load_config_from_file(str(content.path("finetune", "accelerate", f"{name}.yaml")))
    assert read.num_processes == 2


def test_processes_that_do_not_end_after_their_training_are_ended(tmp_path: Path) -> None:
    """Seen once: a process of a finished group waited for ever."""
    pid = tmp_path / "pid"
    hangs = (
        "import os, time\n"
        f"open({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        "print('kgkit done', flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", hangs]
    log = tmp_path / "log"
    assert follow(command, log, on_step=lambda _: None, end_within_s=0.5) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_processes_that_end_before_their_training_have_failed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    assert follow(command, tmp_path / "log", on_step=lambda _: None) == 3
