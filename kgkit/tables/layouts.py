"""Turn schemas/*.yaml into layouts, and headings as people write them into comparable forms.

A layout says which fields a table has; schemas/headings.yaml says by which headings people call a field.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from kgkit import content
from kgkit.errors import ContentError, UsageError
from kgkit.names import plain, singular

FieldKind = Literal["text", "rating", "tick"]
_Model = TypeVar("_Model", bound=BaseModel)

_NOT_WORD = re.compile(r"[\W_]+")
_BRACKETS = re.compile(r"[(\[].*?[)\]]")


class FieldSpec(BaseModel):
    """The headings that name one field, and what its cells look like."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FieldKind = "text"
    headings: list[str]


class LayoutSpec(BaseModel):
    """One layout. schemas/README.md says what each key means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    says: str
    shape: Literal["long", "matrix"]
    needs: list[list[str]]
    fields: list[str]
    tells: list[str] = []
    columns: Literal["sensor", "asset"] | None = None
    blank: Literal["no", "unknown"] = "unknown"
    asset_from: list[Literal["title", "name", "component", "file"]] = []
    detect: bool = True
    not_by_default: dict[str, list[str]] = {}
    column_words: list[str] = []
    column_pattern: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> "LayoutSpec":
        if (self.shape == "matrix") != (self.columns is not None):
            raise ValueError("`columns` belongs to the shape matrix, and only to it")
        return self


class _Marks(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    yes: list[str]
    no: list[str]


class _HeadingsFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    marks: _Marks
    qualifiers: list[str]
    fields: dict[str, FieldSpec]
    ignored: list[str]


class _LayoutsFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    layouts: dict[str, LayoutSpec]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layouts:
    """All layouts by name, the fields of each heading form, and the heading forms that carry no fact."""

    by_name: Mapping[str, LayoutSpec]
    kinds: Mapping[str, FieldKind]
    by_heading: Mapping[str, tuple[str, ...]]
    ignored: frozenset[str]
    marks: Mapping[str, Literal["Yes", "No"]]

    qualifiers: frozenset[str]

    def fields_of(self, form: str) -> tuple[str, ...]:
        """The fields that a heading form may name, `potential cause` as `cause`; () if none."""
        first, _, rest = form.partition(" ")
        known = self.by_heading.get(form, ())
        return known or (self.by_heading.get(rest, ()) if first in self.qualifiers else ())

    def require(self, name: str) -> LayoutSpec:
        """The layout `name`. Raises UsageError that lists the layouts there are."""
        if name not in self.by_name:
            raise UsageError(
                f"there is no layout {name}; choose one of: {', '.join(sorted(self.by_name))}"
            )
        return self.by_name[name]


@lru_cache(maxsize=100_000)
def heading_form(text: str) -> str:
    """`Potential_Failure Modes (FM):` -> `potential failure mode`; accents are dropped."""
    lowered = plain(text)
    bare = _BRACKETS.sub(" ", lowered)
    for candidate in (bare, lowered):
        letters = unicodedata.normalize("NFKD", candidate)
        letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
        words = _NOT_WORD.sub(" ", letters).split()
        if words:
            return " ".join([*words[:-1], singular(words[-1])])
    return lowered


@cache
def read_layouts() -> Layouts:
    """The layouts and headings of the content folder in use. Raises ContentError."""
    folder = content.folder("schemas")
    headings = _load(folder / "headings.yaml", _HeadingsFile)
    by_heading: dict[str, list[str]] = {}
    for name, spec in headings.fields.items():
        for heading in spec.headings:
            by_heading.setdefault(heading_form(heading), []).append(name)
    layouts: dict[str, LayoutSpec] = {}
    for path in sorted(folder.glob("*.yaml")):
        if path.name in ("graph.yaml", "headings.yaml"):
            continue
        for name, layout in _load(path, _LayoutsFile).layouts.items():
            named = {*layout.fields, *layout.tells, *layout.not_by_default, *chain(*layout.needs)}
            for unknown in sorted(named - set(headings.fields)):
                raise ContentError(
                    f"{path}: layout {name} names field {unknown}, which headings.yaml does not have"
                )
            layouts[name] = layout
    return Layouts(
        by_name=layouts,
        kinds={name: spec.kind for name, spec in headings.fields.items()},
        by_heading={form: tuple(dict.fromkeys(names)) for form, names in by_heading.items()},
        ignored=frozenset(heading_form(heading) for heading in headings.ignored),
        qualifiers=frozenset(heading_form(word) for word in headings.qualifiers),
        marks={
            **{mark.casefold(): "Yes" for mark in headings.marks.yes},
            **{mark.casefold(): "No" for mark in headings.marks.no},
        },
    )


def _load(path: Path, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ContentError(f"{path}: {error}") from error
