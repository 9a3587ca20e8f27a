"""Find the content folders: what a user may edit (schemas, prompts, corpora, finetune, evaluation).

Looked for in `$KGKIT_CONTENT`, then inside the installed wheel, then in the checkout, as whole folders:
a copy that lacks a folder falls back to the next place.
"""

import hashlib
import shutil
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from kgkit.errors import ContentError, UsageError
from kgkit.settings import read_settings

Model = TypeVar("Model", bound=BaseModel)
FOLDERS = ("schemas", "prompts", "corpora", "finetune", "evaluation")
_PACKAGE = Path(__file__).resolve().parent


def places() -> list[Path]:
    """Where content folders are looked for, first match wins."""
    own = read_settings().content
    if own is not None and not own.is_dir():
        raise ContentError(
            f"KGKIT_CONTENT={own} is no folder: make it with `kgkit content copy DIR`, or unset it"
        )
    found = [own] if own else []
    return [*found, _PACKAGE / "_content", _PACKAGE.parent]


def folder(name: str) -> Path:
    """The content folder `name` (one of FOLDERS). Raises ContentError if it is nowhere."""
    for place in places():
        if (place / name).is_dir():
            return place / name
    looked = ", ".join(str(place) for place in places())
    raise ContentError(
        f"content folder {name}/ not found (looked in {looked}); reinstall kgkit or unset KGKIT_CONTENT"
    )


def path(*parts: str) -> Path:
    """A file or folder below a content folder, as in `path("schemas", "graph.yaml")`.

    Raises ContentError if it is missing.
    """
    found = folder(parts[0]).joinpath(*parts[1:])
    if not found.exists():
        raise ContentError(f"{found} is missing; copy it from a fresh `kgkit content copy DIR`")
    return found


def text_of(file: Path) -> str:
    """The text of a content file. Raises ContentError if it is not UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ContentError(f"{file}: is not UTF-8 (byte {error.start}); save it as UTF-8") from None


def parse_yaml(file: Path, text: str, model: type[Model]) -> Model:
    """`text` of `file` as a checked `model`. Raises ContentError that names the field, in one line."""
    try:
        return model.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ContentError(f"{file}: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        said = first["msg"].removeprefix("Value error, ")
        raise ContentError(f"{file}: {place}: {said}{more}") from None


def read_yaml(file: Path, model: type[Model]) -> Model:
    """A content file as a checked `model`. Raises ContentError."""
    return parse_yaml(file, text_of(file), model)


def fingerprint() -> str:
    """sha256 over the files that the table side of the graph depends on: schemas and splits."""
    files = [*folder("schemas").glob("*.yaml"), path("corpora", "splits.yaml")]
    whole = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        whole.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def copy_to(destination: Path) -> list[Path]:
    """Copy every content folder to a new folder; the files written. Raises UsageError if it exists."""
    if destination.exists():
        raise UsageError(f"{destination} exists already; name a folder that does not")
    for name in FOLDERS:
        shutil.copytree(folder(name), destination / name)
    return sorted(file for file in destination.rglob("*") if file.is_file())
