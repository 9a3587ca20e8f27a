"""Turn a file of finetune/ into what it says: a recipe, or whatever its kind is; with changes of single fields, and clear words for what is wrong."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from kgkit import content
from kgkit.errors import ContentError, UsageError
from kgkit.finetune.recipe import Recipe

Kind = Literal["recipe", "study", "embedder", "ablations"]
_MARKS: tuple[tuple[str, Kind], ...] = (
    ("arms", "study"),
    ("tasks", "embedder"),
    ("sweeps", "ablations"),
)
"""The field that only a file of this kind has."""
_Model = TypeVar("_Model", bound=BaseModel)


def names() -> list[str]:
    """The recipes and studies of the content folder, an embedder's among them."""
    return sorted(path.stem for path in content.folder("finetune").glob("*.yaml"))


def find(name: str) -> Path:
    """The file of a recipe or study by name (`small-sft` or `small-sft.yaml`), or a file of the user's own, which comes first. Raises UsageError."""
    if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file():
        return Path(name)
    path = content.folder("finetune") / f"{name.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        if Path(name).suffix in (".yaml", ".yml"):
            raise UsageError(f"there is no file {name}; name a recipe: {', '.join(names())}")
        near = difflib.get_close_matches(name, names(), n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"there is no recipe {name}{meant} choose one of: {', '.join(names())}")
    return path


def template(name: str) -> Path:
    """The file of a chat template. Raises ContentError."""
    return content.path("finetune", "templates", f"{name}.jinja")


def kind_of(path: Path) -> Kind:
    """Whether the file holds a language model's recipe, arms of one, an embedder's recipe, or sweeps over one. Raises ContentError."""
    raw = _raw(path)
    return next((kind for mark, kind in _MARKS if mark in raw), "recipe")


def read_recipe(path: Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe in a file, with `changes` by dotted names (`lora.rank`, `stages.0.epochs`). Raises ContentError, UsageError."""
    raw = {"gradients": None, **_raw(path)}  # what may be left out can be set as well
    for stage in raw["stages"] if isinstance(raw.get("stages"), list) else ():
        if isinstance(stage, dict):
            stage.setdefault("preference", None)
            stage.setdefault("distillation", None)
    for name, value in (changes or {}).items():
        _set(raw, name, deepcopy(value), where=path.name)  # a later change may be of a part of it
    return _checked(raw, Recipe, path)


def read_as(path: Path, model: type[_Model], changes: Mapping[str, Any] | None = None) -> _Model:
    """A file of finetune/ as `model`, with `changes` by dotted names. Raises ContentError, UsageError."""
    raw = _raw(path)
    for name, value in (changes or {}).items():
        _set(raw, name, deepcopy(value), where=path.name)  # a later change may be of a part of it
    return _checked(raw, model, path)


def settings(said: Sequence[str]) -> dict[str, Any]:
    """`--set stages.0.epochs=2` -> {"stages.0.epochs": 2}; values are YAML. Raises UsageError."""
    found = {}
    for one in said:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--set {one}: say NAME=VALUE, as in --set stages.0.epochs=2")
        try:
            found[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"--set {one}: {value} is no value") from None
    return found


def as_yaml(recipe: BaseModel) -> str:
    """The recipe with all that was set, as a file that can be trained again."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _raw(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(content.text_of(path))
    except yaml.YAMLError as error:
        raise ContentError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ContentError(f"{path}: is no recipe: fields with values are expected")
    return raw


def _set(raw: Any, name: str, value: object, *, where: str) -> None:  # noqa: ANN401 - YAML is anything
    *way, last = name.split(".")
    at = raw
    for step in way:
        _require_known(at, step, name, where)
        at = at[step] if isinstance(at, dict) else at[int(step)]
    _require_known(at, last, name, where)
    at[last if isinstance(at, dict) else int(last)] = value


def _require_known(at: object, step: str, name: str, where: str) -> None:
    known = [
        str(one)
        for one in (at if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ())
    ]
    if step not in known:
        raise UsageError(f"{where}: {name} is unknown{meant(step, known)}")


def _checked(raw: object, model: type[_Model], path: Path) -> _Model:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ContentError(f"{path.name}: {_said(error, model)}") from None


def _said(error: ValidationError, model: type[BaseModel]) -> str:
    """The first of the errors, with the name that was meant."""
    errors = error.errors()
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    steps = [str(part) for part in first["loc"]]
    place = ".".join(steps) or "the file"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"{place} is unknown{meant(steps[-1], list(_fields(model)))}{more}"
    if first["type"] == "missing":
        return f"{place} is missing: a recipe says everything that changes its result{more}"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}{more}"


def meant(name: str, known: Sequence[str]) -> str:
    """What an unknown name may have meant, to end an error with."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return (
        f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}" if known else ""
    )


def _fields(model: type[BaseModel]) -> Iterator[str]:
    """The names of all fields of a model and of the models in it."""
    for name, field in model.model_fields.items():
        yield name
        yield from _fields_of(field.annotation)


def _fields_of(annotation: object) -> Iterator[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _fields(annotation)
        return
    for inner in get_args(annotation):
        yield from _fields_of(inner)
