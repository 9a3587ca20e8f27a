"""Find the content folders: what a user may edit (schemas, prompts, corpora, finetune, evaluation).

Looked for in `$KGKIT_CONTENT`, then inside the installed wheel, then in the checkout, as whole folders:
a copy that lacks a folder falls back to the next place.
"""

import shutil
from pathlib import Path

from kgkit.errors import ContentError, UsageError
from kgkit.settings import read_settings

FOLDERS = ("schemas", "prompts", "corpora", "finetune", "evaluation")
_PACKAGE = Path(__file__).resolve().parent


def places() -> list[Path]:
    """Where content folders are looked for, first match wins."""
    own = read_settings().content
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


def copy_to(destination: Path) -> list[Path]:
    """Copy every content folder to a new folder; the files written. Raises UsageError if it exists."""
    if destination.exists():
        raise UsageError(f"{destination} exists already; name a folder that does not")
    for name in FOLDERS:
        shutil.copytree(folder(name), destination / name)
    return sorted(file for file in destination.rglob("*") if file.is_file())
