"""Turn a file of finetune/ with `tasks` into an embedder's recipe. Complete: nothing that changes a result has a default."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kgkit.finetune.recipe import NAME, CorpusPart, FilesPart, Lora
from kgkit.finetune.recipe_files import read_as

Pooling = Literal["mean", "last"]


class _Loss(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AllItems(_Loss):
    """Each relevant item of a query against all items of the task that are not relevant to it (a softmax for each of them)."""

    name: Literal["all-items"]
    scale: float = Field(gt=0)
    """What cosines are multiplied by."""


class InBatch(_Loss):
    """Each pair against the other items of its batch. Henderson et al. 2017, MultipleNegativesRankingLoss; section 5.2 of the embedding paper."""

    name: Literal["in-batch"]
    scale: float = Field(gt=0)
    masked: bool
    """Items that are relevant to the query as well, and the same item twice, do not count as negatives."""


class Hard(_Loss):
    """Hard negatives: items near a query though they are not relevant to it, as the model ranks them before it is trained."""

    share: float = Field(gt=0, le=1)
    """Of the pairs that are not relevant; the others are drawn from all."""
    depth: int = Field(gt=0)
    """So many for each query."""


class Contrastive(_Loss):
    """Pairs by their Euclidean distance: relevant ones near, others beyond the margin. Hadsell et al. 2006; section 3.6 of the embedding paper."""

    name: Literal["contrastive"]
    margin: float = Field(gt=0)
    positives: float = Field(ge=0, le=1)
    """Share of relevant pairs in a batch; the paper's is 0.5."""
    hard: Hard | None


class Ordered(_Loss):
    """Every relevant pair of a batch above every other, by cosine (CoSENT) or by angle in complex space (AnglE)."""

    name: Literal["cosent", "angle"]
    scale: float = Field(gt=0)
    positives: float = Field(gt=0, lt=1)
    """Share of relevant pairs in a batch."""
    hard: Hard | None


class MaskedLanguage(_Loss):
    """No task: words that are hidden in texts are filled in. Devlin et al. 2019; the baseline of the embedding paper's appendix B.

    A word is read off the encoder's own word embeddings: a sentence-transformers directory has no other head.
    """

    name: Literal["masked-language"]
    share: float = Field(gt=0, lt=1)
    """Of a text's tokens."""
    texts: CorpusPart | FilesPart = Field(discriminator="source")


Loss = Annotated[
    AllItems | InBatch | Contrastive | Ordered | MaskedLanguage, Field(discriminator="name")
]


class EmbedderRecipe(BaseModel):
    """A whole training run of an embedder: what is trained, on which tasks, how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME)
    version: int
    title: str
    source: str
    model: str
    seed: int = Field(ge=0, lt=2**32)
    tasks: list[str] | None
    """Files of evaluation/retrieval/ by name. null: all that the workspace has data for."""
    context: int = Field(gt=0)
    """Tokens of one text at most; what is beyond is cut off."""
    pooling: Pooling | None
    """Of a plain encoder or decoder; `last` ends each text with the tokenizer's end of text. null: as the sentence-transformers directory has it."""
    lora: Lora | None
    """null: all weights are trained. An adapter is merged into what is saved."""
    loss: Loss
    paraphrased: float = Field(ge=0, le=1)
    """Share of the queries that ask with a paraphrase of their task's instruction, drawn afresh each time."""
    teacher_paraphrases: bool
    """Whether the workspace's paraphrases of a teacher (`kgkit teacher paraphrase`) are drawn as well as the task's own."""
    left_out: dict[str, Annotated[float, Field(ge=0, le=1)]]
    """Task -> probability that a field of a query which is not the task's key is left out, drawn afresh each time. Of other tasks none is."""
    descriptions: float = Field(ge=0, le=1)
    """Probability that a field's value is followed by its description, drawn afresh each time. Embedding paper, section 3.3."""
    steps: int = Field(gt=0)
    batch: int = Field(gt=0)
    """Queries of a step (pairs, or texts, where the loss takes these); all are of one task."""
    balance: float = Field(ge=0, le=1)
    """Steps of a task go by its number of queries to this power. 0: the same for every task; 1: every query as often as any other."""
    learning_rate: float = Field(gt=0)
    layer_decay: float = Field(gt=0, le=1)
    """Each layer's learning rate is this much of the one above it."""
    schedule: Literal["constant", "linear", "cosine", "constant_with_warmup"]
    warmup: float = Field(ge=0, lt=1)
    """Share of all steps."""
    weight_decay: float = Field(ge=0)
    max_grad_norm: float = Field(gt=0)
    evaluations: int = Field(gt=0)
    """So often the dev side is ranked on the way."""
    patience: int | None = Field(gt=0)
    """Stop after so many of them without a better one, and keep the best. null: all steps, and keep the last."""
    held_out: bool
    """Whether the held-out side is ranked before and after. false while settings are chosen."""


def read_embedder(path: Path, changes: Mapping[str, Any] | None = None) -> EmbedderRecipe:
    """The recipe in a file, with `changes` by dotted names (`loss.scale`). Raises ContentError, UsageError."""
    return read_as(path, EmbedderRecipe, changes)
