"""TRL's own command line trains on an export as it is, and on the right tokens."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.models import need_local, tiny_model
from tests.walk import kgkit, matrix_file

CHATML = (
    "{% for message in messages %}{{ message['role'] }} {{ message['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)
OPTIONS = (
    "--max_steps 2 --per_device_train_batch_size 2 --use_cpu true --bf16 false --gradient_checkpointing false "
    "--max_length 1024 --logging_steps 1 --report_to none --save_strategy no"
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixer")
    kgkit("load", matrix_file(folder), workspace=folder / "w")
    kgkit("expand", "--asset", "mixer", workspace=folder / "w")
    kgkit("extend", "qa", "raft", "--asset", "mixer", workspace=folder / "w")
    kgkit("export", folder / "corpus", workspace=folder / "w")
    return folder / "corpus"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_local()
    pytest.importorskip("trl", reason='not installed: pip install "kgkit[finetune]"')
    return tiny_model(tmp_path_factory.mktemp("tiny"), template=CHATML, context=1024)


@pytest.mark.local
@pytest.mark.timeout(600)
@pytest.mark.parametrize("config", ["kd_qa", "kd_qa_raft", "cpt"])
def test_trl_trains_on_an_export_as_it_is(
    corpus: Path, model: Path, tmp_path: Path, config: str
) -> None:
    trl = Path(sys.executable).with_name("trl")
    said = f"--model_name_or_path {model} --dataset_name {corpus} --dataset_config {config} --output_dir {tmp_path / 'out'}"
    run = subprocess.run(
        [str(trl), "sft", *said.split(), *OPTIONS.split()],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
        cwd=tmp_path,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    losses = [line for line in run.stdout.splitlines() if "'loss'" in line or '"loss"' in line]
    assert len(losses) == 2, run.stdout[-2000:]
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.local
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL sets what transformers will rename
@pytest.mark.parametrize("config", ["kd_qa", "kd_qa_raft"])
def test_the_loss_is_on_the_answer_alone(
    corpus: Path, model: Path, tmp_path: Path, config: str
) -> None:
    import datasets
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = datasets.load_dataset(str(corpus), config, split="train", cache_dir=str(tmp_path / "c"))
    tokenizer = AutoTokenizer.from_pretrained(model)
    arguments = SFTConfig(
        output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, gradient_checkpointing=False, max_length=1024,
        report_to="none",
    )  # fmt: skip
    prepared = SFTTrainer(
        model=str(model), args=arguments, train_dataset=rows, processing_class=tokenizer
    ).train_dataset
    for row, ready in zip(rows, prepared, strict=True):
        answer = len(tokenizer(f"{row['answer']} <end>")["input_ids"])
        learnt = [label for label in ready["labels"] if label != -100]
        assert learnt == ready["input_ids"][-answer:], json.dumps(row)
