"""Find hard negatives: what the model, before it is trained, takes for an answer and is none."""

from collections.abc import Mapping
from pathlib import Path

from kgkit.evaluation.retrieval_metrics import rank
from kgkit.finetune.embedder.encoder import open_base
from kgkit.finetune.embedder.recipe import Contrastive, EmbedderRecipe, Ordered
from kgkit.finetune.embedder.sampler import Nearest
from kgkit.retrieval.embedder import Embedder
from kgkit.retrieval.pose import Posed


def nearest(directory: Path, recipe: EmbedderRecipe, learned: Mapping[str, Posed]) -> Nearest:
    """Of every query of training its items that are not relevant, the nearest first. Empty where the loss wants none."""
    if not isinstance(recipe.loss, Contrastive | Ordered) or recipe.loss.hard is None:
        return {}
    model = open_base(directory, recipe, [posed.task for posed in learned.values()])
    embedder = Embedder(name="", identity="", directory=Path(), model=model)
    found = {}
    for name, posed in learned.items():
        items = [item.id for item in posed.items]
        scores = embedder.scores(
            posed.task, [one.text for one in posed.queries], [one.text for one in posed.items]
        )
        for query, ranking in zip(posed.queries, rank(scores, items), strict=True):
            relevant = posed.relevant[query.id]
            found[name, query.id] = [item for item in ranking if item not in relevant]
    return found
