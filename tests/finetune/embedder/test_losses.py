"""Losses by their formulas, on vectors that are known beforehand."""

from typing import TYPE_CHECKING, Any

import pytest

from kgkit.finetune.embedder.losses import Table, against_others, build
from kgkit.finetune.embedder.recipe import AllItems, Contrastive, InBatch
from tests.finetune.embedder.posed import FM2S

if TYPE_CHECKING:
    import torch

pytestmark = pytest.mark.local
pytest.importorskip("sentence_transformers", reason='not installed: pip install "kgkit[finetune]"')
ITEMS = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]


def model() -> Any:
    """A model whose vectors stand in its features; items of a task are read in the order of the table."""
    import torch

    class Given(torch.nn.Module):  # type: ignore[misc]
        def preprocess(self, texts: list[str]) -> dict[str, Any]:
            assert texts == Table({"FM2S": FM2S}).texts
            return {"vectors": torch.tensor(ITEMS)}

        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            return {"sentence_embedding": features["vectors"]}

    return Given()


def vectors(rows: list[list[float]]) -> dict[str, "torch.Tensor"]:
    import torch

    return {"vectors": torch.tensor(rows)}


def test_a_relevant_item_competes_with_those_that_are_not_alone() -> None:
    import torch

    scores = torch.tensor([[2.0, 1.0, 0.0]])
    positive = torch.tensor([[True, True, False]])
    expected = [-torch.log_softmax(torch.tensor([one, 0.0]), 0)[0] for one in (2.0, 1.0)]
    assert against_others(scores, positive).item() == pytest.approx(
        (sum(expected) / 2).item(), abs=1e-6
    )


def test_all_items_relevant_is_no_loss_and_no_gradient_and_no_nan() -> None:
    import torch

    scores = torch.tensor([[2.0, 1.0]], requires_grad=True)
    loss = against_others(scores, torch.tensor([[True, True]]))
    loss.backward()
    assert loss.item() == 0.0
    assert scores.grad is not None
    assert scores.grad.tolist() == [[0.0, 0.0]]


def test_all_items_are_ranked_by_what_is_relevant_to_the_query_of_the_label() -> None:
    import torch

    table = Table({"FM2S": FM2S})
    said = build(AllItems(name="all-items", scale=4.0), model(), table)
    queries = [[1.0, 0.0], [0.0, 1.0]]
    asked = torch.tensor([[0, -1], [3, -1]])
    relevant = torch.from_numpy(table.relevant)[[0, 3]]
    assert relevant.tolist() == [
        [one.id in FM2S.relevant["pump/bearing damage"] for one in FM2S.items],
        [one.id in FM2S.relevant["fan/seal leak"] for one in FM2S.items],
    ]
    scores = 4.0 * torch.tensor(queries) @ torch.tensor(ITEMS).T
    assert said([vectors(queries)], asked).item() == pytest.approx(
        against_others(scores, relevant).item(), abs=1e-6
    )


def test_in_batch_masks_known_pairs_and_is_the_librarys_loss_where_there_is_none() -> None:
    import torch
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    table = Table({"FM2S": FM2S})
    queries, items = vectors([[1.0, 0.0], [0.6, 0.8]]), vectors([[0.8, 0.6], [0.0, 1.0]])
    masked = build(InBatch(name="in-batch", scale=5.0, masked=True), model(), table)
    plain = build(InBatch(name="in-batch", scale=5.0, masked=False), model(), table)
    library = MultipleNegativesRankingLoss(model(), scale=5.0)([queries, items], None)
    assert plain([queries, items], torch.tensor([[0, 0], [3, 2]])).item() == library.item()
    # pump/bearing damage with vibration, fan/seal leak with temperature: neither has the other's item
    apart = torch.tensor([[0, 0], [3, 2]])
    assert masked([queries, items], apart).item() == pytest.approx(library.item(), abs=1e-6)
    # pump/bearing damage with oil debris, fan/bearing damage with vibration: the first has the second's item too
    known = torch.tensor([[0, 1], [2, 0]])
    row = (
        5.0
        * torch.nn.functional.normalize(torch.tensor([[0.6, 0.8]]), dim=1)
        @ torch.tensor([[0.8, 0.6], [0.0, 1.0]]).T
    )
    expected = -torch.log_softmax(row, 1)[0, 1] / 2  # the first row has nothing to be told from
    assert masked([queries, items], known).item() == pytest.approx(expected.item(), abs=1e-6)


def test_contrastive_is_half_of_the_papers_formula() -> None:
    import torch

    said = build(
        Contrastive(name="contrastive", margin=1.5, positives=0.5, hard=None),
        model(),
        Table({"FM2S": FM2S}),
    )
    queries, items = [[1.0, 0.0], [1.0, 0.0]], [[0.6, 0.8], [0.8, 0.6]]
    near, far = (
        sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) ** 0.5
        for pair in zip(queries, items, strict=True)
    )
    found = said([vectors(queries), vectors(items)], torch.tensor([1.0, 0.0])).item()
    assert found == pytest.approx((near**2 + (1.5 - far) ** 2) / 2 / 2, abs=1e-4)
