"""Find the content folders: what a user may edit (schemas, prompts, corpora, finetune, evaluation).

Looked for in `$KGKIT_CONTENT`, then inside the installed wheel, then in the checkout, as whole folders:
a copy that lacks a folder falls back to the next place.
"""

from pathlib import Path

from kgkit.errors import ContentError
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
    """A file or folder below a content folder, e.g. path("schemas", "graph.yaml"). Raises ContentError."""
    found = folder(parts[0]).joinpath(*parts[1:])
    if not found.exists():
        raise ContentError(f"{found} is missing; copy it from a fresh `kgkit content copy DIR`")
    return found
