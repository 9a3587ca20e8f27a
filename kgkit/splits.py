"""Turn corpora/splits.yaml into one question: may this asset be trained on? Asset -> train, dev or held_out.

This is the only place that knows. A scope can be made for an open asset alone (`Split.require_open`), and asks
that name a held-out asset are left out of every plan (`stages.open_asks`).
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from kgkit import content
from kgkit.errors import ContentError, UsageError
from kgkit.names import asset_id, normal_form

Side = Literal["train", "dev", "held_out"]

_TAG = re.compile(r"\w|\w*\d\w*")
"""A word that tells one machine of a class from another: `101`, `K101`, `B`."""


class _SplitSpec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    held_out: list[str]
    dev: list[str]


class _SplitsFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    families: dict[str, list[str]]
    splits: dict[str, _SplitSpec]


class Split:
    """One named split. `family(asset)` and `side(asset)` take any spelling of an asset or its id."""

    def __init__(self, name: str, spec: _SplitSpec, families: Mapping[str, list[str]]) -> None:
        self.name = name
        self.held_out = tuple(spec.held_out)
        self.dev = tuple(spec.dev)
        self._families = families
        self._family = {
            asset_id(asset): family for family, assets in families.items() for asset in assets
        }

    def family(self, asset: str) -> str:
        """The asset's family, by its last words: a centrifugal compressor is a compressor, and so is Compressor K-101.

        An asset that no family lists is its own.
        """
        words = normal_form(asset.replace("-", " ")).split(" ")
        while len(words) > 1 and _TAG.fullmatch(words[-1]):
            words.pop()
        for start in range(len(words)):
            found = self._family.get(asset_id(" ".join(words[start:])))
            if found is not None:
                return found
        return asset_id(asset)

    def held_out_names(self) -> list[str]:
        """Every name that the file lists for the held-out families."""
        return sorted(name for family in self.held_out for name in self._families[family])

    def side(self, asset: str) -> Side:
        """Which side of the split the asset stands on."""
        family = self.family(asset)
        if family in self.held_out:
            return "held_out"
        return "dev" if family in self.dev else "train"

    def require_open(self, asset: str) -> None:
        """Raise UsageError if the asset is held out: the guard before every prompt."""
        if self.side(asset) == "held_out":
            raise UsageError(
                f"{asset} is held out: family {self.family(asset)} of split {self.name} is kept for evaluation, "
                f"so nothing may be generated about it. To change that, take another split "
                f"(`kgkit load --split none`), or `kgkit content copy DIR`, edit DIR/corpora/splits.yaml, and set KGKIT_CONTENT=DIR"
            )


@cache
def _read() -> _SplitsFile:
    path = content.path("corpora", "splits.yaml")
    spec = content.read_yaml(path, _SplitsFile)
    for name, split in spec.splits.items():
        for family in [*split.held_out, *split.dev]:
            if family not in spec.families:
                known = ", ".join(sorted(spec.families))
                raise ContentError(
                    f"{path}: split {name} names family {family}, which is none of: {known}"
                )
    return spec


def read_split(name: str) -> Split:
    """The split `name` of corpora/splits.yaml. Raises UsageError for an unknown name, ContentError."""
    spec = _read()
    if name not in spec.splits:
        raise UsageError(
            f"there is no split {name}; choose one of: {', '.join(sorted(spec.splits))}"
        )
    return Split(name, spec.splits[name], spec.families)
