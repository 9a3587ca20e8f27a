"""What a recipe says: model, adapter, stages with their data, and what it is measured on. Complete: nothing that changes a result has a default."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kgkit.evaluation.asks import By
from kgkit.records import Polarity

Protocol = Literal["alia", "transfer"]
Answer = Literal["letters", "options", "explained"]
NAME = r"^[a-z0-9][a-z0-9-]*$"
"""What recipes, studies, stages and arms may be called."""
GENERAL = "general: "
"""How general text is called in cards: the labels of its parts begin so."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float | None = Field(gt=0, lt=1)
    """Of the stage's tokens: rows are drawn until the part has it. null: all its rows, once."""


class _BenchmarkPart(_Part):
    source: str
    benchmark: str
    """Whose directions and words, and by whose rules questions are made."""

    @property
    def label(self) -> str:
        """What its rows are called in cards."""
        return f"{self.source} {self.benchmark}"


class CorpusPart(_Part):
    """A corpus of the workspace, as `kgkit export` writes it: texts, or chats where it holds questions."""

    source: Literal["corpus"]
    corpus: str
    rows: int | None = Field(gt=0)
    """At most so many, the first by id (ids are digests, so that is a draw). null: all."""

    @property
    def label(self) -> str:
        """What its rows are called in cards."""
        return self.corpus


class QuestionsPart(_BenchmarkPart):
    """Questions about training assets, by the rules of a benchmark, put as `kgkit evaluate` puts them."""

    source: Literal["questions"]
    rows: int = Field(gt=0)
    """At most so many of each type."""
    answer: Answer
    """What is learned: the letter, the right option's text, or that text with the reason why."""
    wordings: int = Field(ge=1)
    """Each question so often, each time in other words, with its options in other places. 1: the plain one."""


class ListsPart(_BenchmarkPart):
    """Each row of the training assets' matrices as one question whose answer names all its right options: many cells in few tokens."""

    source: Literal["lists"]
    polarities: list[Polarity] = Field(min_length=1)
    wordings: int = Field(ge=1)
    """Each question so often, each time in other words, its options in another order. 1: the plain one."""
    unnamed: float = Field(ge=0, lt=1)
    """Share of the rows that do not name their asset: what holds of it is learned as what holds of machines."""


class StatementsPart(_BenchmarkPart):
    """Each cell of the training assets' matrices as a statement that is true or false, put as `kgkit evaluate --by statements` puts it (`unnamed-statements`: the unnamed ones)."""

    source: Literal["statements"]
    wordings: int = Field(ge=1)
    """Each cell so often in each direction, each time in other words. 1: the plain one."""
    unnamed: float = Field(ge=0, lt=1)
    """Share of the rows that do not name their asset: what holds of it is learned as what holds of machines."""
    explained: bool
    """With the reason after the verdict, from the knowledge passage about the cell; cells without one are left out."""

    @property
    def label(self) -> str:
        """What its rows are called in cards."""
        return f"{super().label} explained" if self.explained else super().label


class PreferencesPart(_BenchmarkPart):
    """Each cell that a knowledge passage explains as a statement with two explained answers: the right one, and a wrong one to be liked less."""

    source: Literal["preferences"]


class FilesPart(_Part):
    """Rows of an exported directory, a Hugging Face dataset on disk, JSONL or Parquet: `text`, `messages`, or `prompt` with `completion`."""

    source: Literal["files"]
    path: Path
    config: str | None

    @property
    def label(self) -> str:
        """What its rows are called in cards."""
        return self.path.name + (f" {self.config}" if self.config else "")


class GeneralPart(_Part):
    """General text, of which rows that tell of the evaluation are left out and counted: of `path`, as `files` reads it, at most so many `rows` drawn.

    Without a path what Python carries: the topics of its language reference (`text`), or each as a question with its answer (`chat`).
    """

    source: Literal["general"]
    form: Literal["text", "chat"]
    path: Path | None
    rows: int | None = Field(ge=1)

    @property
    def label(self) -> str:
        """What its rows are called in cards."""
        return GENERAL + (self.path.name if self.path else "Python's reference")


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

    @field_validator("targets", mode="after")
    @classmethod
    def _some(cls, said: str | list[str]) -> str | list[str]:
        if not said:
            raise ValueError("name a module, or all-linear")
        return said


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
        if self.by_rows_alone and self.packing:
            way = "preference" if self.preference else "distillation"
            raise ValueError(f"a stage with `{way}` has packing: false")
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
    seed: int = Field(ge=0, lt=2**32)
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
        """Raises ValueError for two stages of one name, two benchmarks of one name and way, and for what one stage wants and another field forbids."""
        named = [stage.name for stage in self.stages]
        twice = next((name for name in named if named.count(name) > 1), "")
        if twice:
            raise ValueError(f"two stages are called {twice}: call one something else")
        asked = [(Path(one.benchmark).stem, one.by) for one in self.evaluate]
        again = next((one for one in asked if asked.count(one) > 1), None)
        if again:
            raise ValueError(f"{again[0]} by {again[1]} is asked twice: leave one out of evaluate")
        packed = next((stage.name for stage in self.stages if stage.packing), "")
        if self.gradients and packed:
            raise ValueError(
                f"gradients are measured row by row: set packing of stage {packed} to false"
            )
        if self.quantized and not self.lora:
            raise ValueError(
                "weights in 4 bits stay as they are: name a lora, or set quantized to false"
            )
        distilled = next((stage.name for stage in self.stages if stage.distillation), "")
        if self.quantized and distilled:
            raise ValueError(
                f"TRL distils whole weights: set quantized to false, or leave distillation of stage {distilled} out"
            )
        return self
