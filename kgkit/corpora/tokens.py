"""Turn texts into token ids with the tokenizer of any model: a folder that holds `tokenizer.json`.

The bundled one is SmolLM2's (corpora/tokenizer/), so that a count needs no download; its name goes with every number.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kgkit import content
from kgkit.errors import ContentError, KgkitError, UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BUNDLED = "SmolLM2 (bundled)"
EXTRA = {
    "tokenizers": "tokenizers",
    "numpy": "numpy",
    "matplotlib": "matplotlib",
    "sklearn": "scikit-learn",
}
"""What the extra `corpora` brings: module -> distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A tokenizer and what to call it in print. `vocabulary` counts its tokens, added ones included."""

    name: str
    vocabulary: int
    tokenizer: "Tokenizer"

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, without the special tokens that a model puts around one."""
        encoded = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encoded]


def open_tokens(folder: Path | None = None) -> Tokens:
    """The tokenizer of `folder`, else the bundled one.

    Raises UsageError for a folder without tokenizer.json, ContentError for one that cannot be read, KgkitError
    without the extra `corpora`.
    """
    require_corpora("counting tokens")
    from tokenizers import Tokenizer

    if folder is not None and not (folder / "tokenizer.json").is_file():
        raise UsageError(
            f"{folder} holds no tokenizer.json; name a model's folder, or leave --tokenizer out for {BUNDLED}"
        )
    file = (
        folder / "tokenizer.json"
        if folder
        else content.path("corpora", "tokenizer", "tokenizer.json")
    )
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 - the library raises it bare, whatever is wrong
        raise ContentError(
            f"{file}: is no tokenizer that the package tokenizers reads ({' '.join(str(error).split())}); "
            "save it again with save_pretrained"
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Tokens(
        name=str(folder) if folder else BUNDLED,
        vocabulary=tokenizer.get_vocab_size(),
        tokenizer=tokenizer,
    )


def require_corpora(what: str) -> None:
    """Raise KgkitError where packages of the extra `corpora` are missing, without importing them."""
    missing = [name for module, name in EXTRA.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise KgkitError(f'{what} needs {", ".join(missing)}: pip install "kgkit[corpora]"')
