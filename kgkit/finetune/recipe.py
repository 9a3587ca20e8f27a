"""Turn a file of finetune/ into a recipe: model, adapter, stages with their data, and what it is measured on. Complete: nothing that changes a result has a default."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kgkit import content
from kgkit.errors import ContentError, UsageError
from kgkit.evaluation.asks import By
from kgkit.records import Polarity

Protocol = Literal["alia", "transfer"]
Answer = Literal["letters", "options", "explained"]
Kind = Literal["recipe", "study", "embedder", "ablations"]
_MARKS: tuple[tuple[str, Kind], ...] = (
    ("arms", "study"),
    ("tasks", "embedder"),
    ("sweeps", "ablations"),
)
"""The field that only a file of this kind has."""
NAME = r"^[a-z0-9][a-z0-9-]*$"
"""What recipes, studies, stages and arms may be called."""
_Model = TypeVar("_Model", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float | None = Field(gt=0, lt=1)
    """Of the stage's tokens: rows are drawn until the part has it. null: all its rows, once."""


class CorpusPart(_Part):
    """A corpus of the workspace, as `kgkit export` writes it: texts, or chats where it holds questions."""

    source: Literal["corpus"]
    corpus: str
    rows: int | None = Field(gt=0)
    """At most so many, the first by id (ids are digests, so that is a draw). null: all."""


class QuestionsPart(_Part):
    """Questions about training assets, by the rules of a benchmark, put as `kgkit evaluate` puts them."""

    source: Literal["questions"]
    benchmark: str
    rows: int = Field(gt=0)
    """At most so many of each type."""
    answer: Answer
    """What is learned: the letter, the right option's text, or that text with the reason why."""
    wordings: int = Field(ge=1)
    """Each question so often, each time in other words, with its options in other places. 1: the plain one."""


class ListsPart(_Part):
    """Each row of the training assets' matrices as one question whose answer names all its right options: many cells in few tokens."""

    source: Literal["lists"]
    benchmark: str
    """Whose directions and words: the stem is what `kgkit evaluate --by options` puts."""
    polarities: list[Polarity] = Field(min_length=1)
    wordings: int = Field(ge=1)
    """Each question so often, each time in other words, its options in another order. 1: the plain one."""
    unnamed: float = Field(ge=0, lt=1)
    """Share of the rows that do not name their asset: what holds of it is learned as what holds of machines."""


class StatementsPart(_Part):
    """Each cell of the training assets' matrices as a statement that is true or false, put as `kgkit evaluate --by statements` puts it."""

    source: Literal["statements"]
    benchmark: str
    """Whose directions and words."""
    wordings: int = Field(ge=1)
    """Each cell so often in each direction, each time in other words. 1: the plain one."""
    unnamed: float = Field(ge=0, lt=1)
    """Share of the rows that do not name their asset: what holds of it is learned as what holds of machines."""
    explained: bool
    """With the reason after the verdict, from the knowledge passage about the cell; cells without one are left out."""


class PreferencesPart(_Part):
    """Each cell that a knowledge passage explains as a statement with two explained answers: the right one, and a wrong one to be liked less."""

    source: Literal["preferences"]
    benchmark: str
    """Whose directions and words."""


class FilesPart(_Part):
    """Rows of an exported directory, a Hugging Face dataset on disk, JSONL or Parquet: `text`, `messages`, or `prompt` with `completion`."""

    source: Literal["files"]
    path: Path
    config: str | None


class GeneralPart(_Part):
    """General text that Python carries: the topics of its language reference (`text`), or each as a question with its answer (`chat`)."""

    source: Literal["general"]
    form: Literal["text", "chat"]


Part = Annotated[
    CorpusPart
    | QuestionsPart
    | ListsPart
    | StatementsPart
    | PreferencesPart
    | FilesPart
    | GeneralPart,
    Field(discriminator="source"),
]


class Lora(BaseModel):
    """A low-rank adapter. `layers`: from and to, counted from 0, null for all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(gt=0)
    alpha: int = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    targets: Literal["all-linear"] | list[str]
    layers: tuple[int, int] | None


class Preference(BaseModel):
    """Direct preference optimisation (DPO) of right over wrong answers. `beta`: the higher, the nearer to the weights that the stage begins with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    beta: float = Field(gt=0)


class Distillation(BaseModel):
    """Of every token of an answer all probabilities are learned that a larger model gives (GKD on the rows as they are, Agarwal et al., 2024).

    `teacher`: its directory, or a name that `kgkit teacher pull` knows. `beta`: 0 for the divergence of the student from the teacher, KL(teacher || student),
    1 for the other way round, between them the generalised Jensen-Shannon divergence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: str
    beta: float = Field(ge=0, le=1)


class Stage(BaseModel):
    """One run of the trainer over one mixture, from the weights that the stage before left."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME)
    data: list[Part] = Field(min_length=1)
    tokens: int | None = Field(gt=0)
    """At most so many for one epoch. null: all."""
    epochs: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "linear", "cosine", "constant_with_warmup"]
    warmup: float = Field(ge=0, lt=1)
    """Share of all steps."""
    weight_decay: float = Field(ge=0)
    max_grad_norm: float = Field(gt=0)
    batch: int = Field(gt=0)
    """Rows on one device, of one step without accumulation."""
    accumulation: int = Field(gt=0)
    packing: bool
    """Several rows in one sequence; none sees another."""
    by_length: bool
    """Rows of like length in one batch: those of a step, drawn at random, are divided among its batches (accumulation, devices) by length."""
    preference: Preference | None = None
    """May be left out: right answers are learned (SFT). Else it is learned to prefer them to wrong ones."""
    distillation: Distillation | None = None
    """May be left out. Else not the answers are learned, but what a larger model thinks of each of their tokens."""

    @property
    def by_rows_alone(self) -> bool:
        """Whether it is no plain SFT: TRL's trainer for it reads rows one by one, with the tokenizer's own template."""
        return self.preference is not None or self.distillation is not None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        """Raises ValueError for right and wrong answers without `preference`, for it without them, and with what it does not do."""
        pairs = [part.source == "preferences" for part in self.data]
        if any(pairs) and not (all(pairs) and self.preference):
            raise ValueError(
                "parts `preferences` want a stage of their own that has `preference: {beta: 0.1}`"
            )
        if self.preference and not all(pairs):
            raise ValueError("a stage with `preference` learns from parts `preferences` alone")
        if self.preference and self.distillation:
            raise ValueError("a stage has `preference` or `distillation`, not both")
        if self.by_rows_alone and (self.packing or self.by_length):
            way = "preference" if self.preference else "distillation"
            raise ValueError(f"a stage with `{way}` has packing: false and by_length: false")
        return self


class Gradients(BaseModel):
    """How often answers and explanations are measured apart beside training, on how many explained rows. It changes no result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every: int = Field(gt=0)
    """Steps."""
    rows: int = Field(gt=0)


class Measured(BaseModel):
    """A benchmark that is asked before and after training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmark: str
    by: By
    limit: int | None = Field(gt=0)


class Recipe(BaseModel):
    """A whole training run: what is trained, on what, how, and what shows whether it helped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME)
    version: int
    title: str
    source: str
    model: str
    protocol: Protocol
    seed: int
    precision: Literal["float32", "bfloat16", "auto"]
    """`auto`: bfloat16 where the hardware multiplies it, else float32."""
    quantized: bool
    """The frozen weights in 4 bits (QLoRA); needs CUDA."""
    checkpointing: bool
    """Activations are computed again on the way back: less memory, about a quarter more time."""
    context: int = Field(gt=0)
    """Tokens of one row at most; what is beyond is cut off."""
    chat_template: str | None
    """A file of finetune/templates/, by name, that the trained model is asked with as well. null: the model's own."""
    lora: Lora | None
    """null: all weights are trained."""
    stages: list[Stage] = Field(min_length=1)
    gradients: Gradients | None = None
    """May be left out, as it changes nothing of the model: answers and explanations are not measured apart then."""
    evaluate: list[Measured]
    retain: bool
    """Whether the general questions are asked before and after as well."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        """Raises ValueError for two stages of one name, and for what one stage wants and another field forbids."""
        named = [stage.name for stage in self.stages]
        twice = next((name for name in named if named.count(name) > 1), "")
        if twice:
            raise ValueError(f"two stages are called {twice}: call one something else")
        packed = next((stage.name for stage in self.stages if stage.packing), "")
        if self.gradients and packed:
            raise ValueError(
                f"gradients are measured row by row: set packing of stage {packed} to false"
            )
        distilled = next((stage.name for stage in self.stages if stage.distillation), "")
        if self.quantized and distilled:
            raise ValueError(
                f"TRL distils whole weights: set quantized to false, or leave distillation of stage {distilled} out"
            )
        return self


def names() -> list[str]:
    """The recipes and studies of the content folder, an embedder's among them."""
    return sorted(path.stem for path in content.folder("finetune").glob("*.yaml"))


def find(name: str) -> Path:
    """The file of a recipe or study by name, or a file of the user's own. Raises UsageError."""
    if Path(name).suffix in (".yaml", ".yml"):
        if not Path(name).is_file():
            raise UsageError(f"there is no file {name}; name a recipe: {', '.join(names())}")
        return Path(name)
    path = content.folder("finetune") / f"{name}.yaml"
    if not path.is_file():
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


def is_study(path: Path) -> bool:
    """Whether the file holds arms of a recipe rather than a recipe. Raises ContentError."""
    return kind_of(path) == "study"


def read_recipe(path: Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe in a file, with `changes` by dotted names (`lora.rank`, `stages.0.epochs`). Raises ContentError, UsageError."""
    raw = {"gradients": None, **_raw(path)}  # the one field that may be left out can be set as well
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
    return f"{place}: {first['msg']}{more}"


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
