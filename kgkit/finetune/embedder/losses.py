"""The losses by name, as sentence-transformers takes them. What every step must know of the tasks stands in a table beside.

Four come from the library. The two that need to know which items are relevant are built here: a row's label is its place in the
table, as (query, item).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kgkit.errors import KgkitError
from kgkit.finetune.embedder.recipe import (
    AllItems,
    Contrastive,
    InBatch,
    Loss,
    MaskedLanguage,
    Ordered,
)
from kgkit.finetune.embedder.rows import Row, item_as_read
from kgkit.retrieval.pose import Posed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Label = float | list[int]
_IGNORED = -100
"""The label of a place that is not asked about, as everywhere in transformers."""


@dataclass(frozen=True)
class Table:
    """The training sides of all tasks, queries and items numbered through in the order of the tasks."""

    learned: Mapping[str, Posed]

    @cached_property
    def queries(self) -> dict[tuple[str, str], int]:
        """(task, query id) -> its number."""
        found = ((name, query.id) for name, one in self.learned.items() for query in one.queries)
        return {key: number for number, key in enumerate(found)}

    @cached_property
    def items(self) -> dict[tuple[str, str], int]:
        """(task, item id) -> its number."""
        found = ((name, item.id) for name, one in self.learned.items() for item in one.items)
        return {key: number for number, key in enumerate(found)}

    @cached_property
    def texts(self) -> list[str]:
        """Items as they are read."""
        return [item_as_read(one.task, item) for one in self.learned.values() for item in one.items]

    @cached_property
    def relevant(self) -> "npt.NDArray[np.bool_]":
        """Whether an item is relevant to a query: (n_queries, n_items) over all tasks."""
        import numpy as np

        found = np.zeros((len(self.queries), len(self.items)), dtype=np.bool_)
        for name, one in self.learned.items():
            for query, items in one.relevant.items():
                for item in items:
                    found[self.queries[name, query], self.items[name, item]] = True
        return found

    def items_of(self, query: int) -> range:
        """The numbers of the items of a query's task."""
        first = 0
        for one in self.learned.values():
            query -= len(one.queries)
            if query < 0:
                return range(first, first + len(one.items))
            first += len(one.items)
        raise IndexError(query)


def labels(rows: Sequence[Row], loss: Loss, table: Table) -> list[Label]:
    """What the trainer gives the loss beside each row's texts."""
    if isinstance(loss, Contrastive | Ordered):
        return [float(row.relevant) for row in rows]
    if isinstance(loss, MaskedLanguage):
        return [0.0] * len(rows)
    return [
        [table.queries[row.task, row.query], table.items[row.task, row.item] if row.item else -1]
        for row in rows
    ]


def build(loss: Loss, model: Any, table: Table) -> Any:  # noqa: ANN401 - torch's modules
    """The loss as a module over a SentenceTransformer."""
    from sentence_transformers.sentence_transformer import losses

    if isinstance(loss, AllItems):
        return _all_items(loss, model, table)
    if isinstance(loss, Contrastive):
        euclidean = losses.SiameseDistanceMetric.EUCLIDEAN
        return losses.ContrastiveLoss(model, distance_metric=euclidean, margin=loss.margin)
    if isinstance(loss, Ordered):
        of_name = {"cosent": losses.CoSENTLoss, "angle": losses.AnglELoss}
        return of_name[loss.name](model, scale=loss.scale)
    if isinstance(loss, MaskedLanguage):
        return _masked_language(loss, model)
    if loss.masked:
        return _masked_in_batch(loss, model, table)
    return _unlabelled(losses.MultipleNegativesRankingLoss(model, scale=loss.scale))


def _all_items(loss: AllItems, model: Any, table: Table) -> Any:  # noqa: ANN401
    import torch

    relevant = torch.from_numpy(table.relevant)

    class AllItemsLoss(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self._read: dict[range, Any] = {}

        def forward(self, features: Iterable[dict[str, Any]], labels: Any) -> Any:  # noqa: ANN401
            (queries,) = features
            asked = labels[:, 0]
            items = table.items_of(int(asked[0]))
            if items not in self._read:
                self._read[items] = self.model.preprocess([table.texts[at] for at in items])
            of_items = {
                key: value.to(asked.device) if isinstance(value, torch.Tensor) else value
                for key, value in self._read[items].items()
            }
            positive = relevant.to(asked.device)[asked, items.start : items.stop]
            scores = loss.scale * _cosines(
                self.model(queries)["sentence_embedding"],
                self.model(of_items)["sentence_embedding"],
            )
            return against_others(scores, positive)

    return AllItemsLoss()


def _masked_in_batch(loss: InBatch, model: Any, table: Table) -> Any:  # noqa: ANN401
    import torch

    relevant = torch.from_numpy(table.relevant)

    class MaskedInBatchLoss(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, features: Iterable[dict[str, Any]], labels: Any) -> Any:  # noqa: ANN401
            queries, items = (self.model(one)["sentence_embedding"] for one in features)
            known = relevant.to(labels.device)[labels[:, :1], labels[:, 1]]
            own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
            scores = (loss.scale * _cosines(queries, items)).masked_fill(known & ~own, -torch.inf)
            return torch.nn.functional.cross_entropy(
                scores, torch.arange(len(labels), device=labels.device)
            )

    return MaskedInBatchLoss()


def _masked_language(loss: MaskedLanguage, model: Any) -> Any:  # noqa: ANN401
    import torch
    from transformers import DataCollatorForLanguageModeling

    encoder = model[0].model
    if model.tokenizer.mask_token is None:
        raise KgkitError(
            "masked-language needs a model whose tokenizer has a mask: take an encoder, no decoder"
        )
    hiding = DataCollatorForLanguageModeling(model.tokenizer, mlm_probability=loss.share)

    class MaskedLanguageLoss(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, features: Iterable[dict[str, Any]], labels: Any) -> Any:  # noqa: ANN401, ARG002
            (texts,) = features
            shown, hidden = hiding.torch_mask_tokens(texts["input_ids"].clone())
            asked = hidden != _IGNORED
            states = encoder(
                input_ids=shown, attention_mask=texts["attention_mask"]
            ).last_hidden_state
            if not asked.any():
                return 0.0 * states.sum()
            scores = states[asked] @ encoder.get_input_embeddings().weight.T
            return torch.nn.functional.cross_entropy(scores, hidden[asked])

    return MaskedLanguageLoss()


def _unlabelled(loss: Any) -> Any:  # noqa: ANN401
    """A loss of the library that makes no use of labels."""
    import torch

    class Unlabelled(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.loss = loss

        def forward(self, features: Iterable[dict[str, Any]], labels: Any) -> Any:  # noqa: ANN401, ARG002
            return self.loss(features, None)

    return Unlabelled()


def against_others(scores: Any, positive: Any) -> Any:  # noqa: ANN401 - tensors
    """Mean over queries of the mean over relevant items of -log softmax of that item among itself and those that are not relevant.

    `scores` and `positive` are (n_queries, n_items). A relevant item never competes with another one.
    """
    import torch

    nothing = torch.finfo(
        scores.dtype
    ).min  # and not -inf, which has no gradient where all items are relevant
    others = torch.logsumexp(scores.masked_fill(positive, nothing), dim=1, keepdim=True)
    each = torch.nn.functional.softplus(others - scores).masked_fill(~positive, 0.0)
    return (each.sum(1) / positive.sum(1)).mean()


def _cosines(queries: Any, items: Any) -> Any:  # noqa: ANN401
    from sentence_transformers.util import cos_sim

    return cos_sim(queries, items)
