"""`kgkit finetune embedder-mlm` over a tiny random encoder: texts with words hidden, and none that tells of the evaluation."""

import json
from pathlib import Path

import pytest
import yaml

from kgkit.retrieval.tasks import task_names
from tests.finetune.embedder.tiny import tiny_encoder
from tests.integration.models import need_local
from tests.walk import Result, kgkit

pytestmark = [pytest.mark.local, pytest.mark.timeout(900)]
TEXTS = [
    "Vibration of a pump rises with bearing damage, and its speed stays as it was.",
    "Oil debris in an electric motor tells of bearing damage before its vibration does.",
    "The temperature of a steam turbine rises with misalignment.",
    "Bearing damage in a pump heats the oil; oil debris follows.",
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_local()
    for library in ("sentence_transformers", "datasets", "accelerate"):
        pytest.importorskip(library, reason='not installed: pip install "kgkit[finetune]"')
    return tiny_encoder(tmp_path_factory.mktemp("tiny"), mask=True)


def texts(folder: Path, *said: str) -> Path:
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": one}) + "\n" for one in said), encoding="utf-8")
    return path


def trained(work: Path, model: Path, path: Path, *, name: str = "mlm", code: int = 0) -> Result:
    files = f"{{source: files, path: {path}, config: null, share: null}}"
    changes = {
        "loss.texts": files,
        "steps": "40",
        "batch": "4",
        "learning_rate": "5.0e-3",
        "evaluations": "2",
        "held_out": "false",
    }
    pairs = [part for field, value in changes.items() for part in ("--set", f"{field}={value}")]
    line = ["finetune", "embedder-mlm", "--model", str(model), "--name", name, *pairs, "--json"]
    return kgkit(*line, workspace=work, code=code)


def test_words_that_are_hidden_are_found_and_the_card_says_what_was_read(
    tiny: Path, starter: Path, tmp_path: Path
) -> None:
    path = texts(tmp_path, *TEXTS)
    said = trained(starter, tiny, path).json
    assert sum(said["losses"][-10:]) < 0.7 * sum(said["losses"][:10])
    folder = starter / "models" / "mlm"
    card = yaml.safe_load((folder / "kgkit-run.yaml").read_text(encoding="utf-8"))
    assert card["trained_on"] == {"protocol": "transfer", "families": [], "corpora": ["texts"]}
    assert card["data"]["steps"] == {"texts": 40}
    assert set(card["data"]["tasks"]) <= set(task_names())
    assert "on texts of files, with words hidden" in (folder / "README.md").read_text("utf-8")
    again = trained(starter, tiny, path, name="again").json
    assert again["losses"] == said["losses"]


def test_a_text_about_a_held_out_asset_is_refused(
    tiny: Path, starter: Path, tmp_path: Path
) -> None:
    path = texts(tmp_path, *TEXTS, "A compressor surges when its discharge valve sticks.")
    ended = trained(starter, tiny, path, code=3)
    assert ended.err.startswith("kgkit: texts.jsonl, row 5: names compressor, which is held out")
    assert not (starter / "models" / "mlm" / "kgkit-run.yaml").exists()


def test_what_cannot_hide_a_word_is_refused(starter: Path, tmp_path: Path, tiny: Path) -> None:
    maskless = tiny_encoder(tmp_path / "maskless")
    ended = trained(starter, maskless, texts(tmp_path, *TEXTS), code=1)
    assert "tokenizer has a mask" in ended.err


def test_a_workspace_without_documents_says_what_to_run(tiny: Path, starter: Path) -> None:
    line = ["finetune", "embedder-mlm", "--model", str(tiny), "--set", "held_out=false"]
    said = kgkit(*line, workspace=starter, code=2).err
    assert "no row of kd_base for training: run `kgkit expand --all`" in said
