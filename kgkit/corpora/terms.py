"""Place the names of the graph in a plane, alike names near each other: what is trained on against what is evaluated.

The ALIA paper's Figure 1, with vectors that need no model: character n-grams of a name (TF-IDF), reduced by SVD, then
t-SNE. One seed and one thread: the same names give the same places on one machine.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.splits import Split

Kind = Literal["asset", "sensor", "failure mode"]
Use = Literal["source", "evaluation", "both"]
MOST = 2_000
FEWEST = 10
PERPLEXITY = 30.0
DIMENSIONS = 50
_EDGES: tuple[tuple[Kind, str], ...] = (
    ("sensor", "(:Asset)-[r:MONITORED_BY]->(n:Sensor)"),
    ("failure mode", "(:Asset)-[r:EXPERIENCES]->(n:FailureMode)"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A name of the graph, and whether rows for training, rows for evaluation, or both speak of it."""

    kind: Kind
    name: str
    use: Use


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A term and where it stands in the plane. The axes mean nothing; only nearness does."""

    term: Term
    x: float
    y: float


def terms(graph: GraphStore, split: Split) -> list[Term]:
    """The names of assets, sensors and failure modes, sorted. What held-out assets have is for evaluation."""
    uses: dict[tuple[Kind, str], set[str]] = {}
    for asset in reading.assets(graph, role=None):
        held_out = asset.role == "evaluation" or split.side(asset.name) == "held_out"
        use = "evaluation" if held_out else "source"
        uses.setdefault(("asset", asset.name), set()).add(use)
    for kind, pattern in _EDGES:
        rows = graph.query(f"MATCH {pattern} RETURN DISTINCT n.name, r.role").rows
        for name, role in rows:
            uses.setdefault((kind, str(name)), set()).add(str(role))
    return [
        Term(kind=kind, name=name, use=_use(found)) for (kind, name), found in sorted(uses.items())
    ]


def _use(found: set[str]) -> Use:
    if len(found) > 1:
        return "both"
    return "source" if "source" in found else "evaluation"


def counts(all_terms: Iterable[Term]) -> dict[str, int]:
    """How many terms each use has."""
    found = Counter(term.use for term in all_terms)
    return {use: found[use] for use in ("source", "evaluation", "both")}


def sample(all_terms: Sequence[Term]) -> list[Term]:
    """All terms, or the same `MOST` of them each time: t-SNE takes minutes for more."""
    ranked = sorted(all_terms, key=lambda term: hashlib.sha256(term.name.encode()).digest())
    return sorted(ranked[:MOST], key=lambda term: (term.kind, term.name))


def method(count: int) -> str:
    """How `count` terms are placed, for a caption."""
    return (
        f"TF-IDF of character 2- to 4-grams, SVD to {min(DIMENSIONS, count - 1)}, "
        f"t-SNE (perplexity {_perplexity(count):.3g}, seed 0)"
    )


def _perplexity(count: int) -> float:
    return min(PERPLEXITY, (count - 1) / 3)


def places(chosen: Sequence[Term]) -> list[Place]:
    """Where each term stands, in their order; nothing for fewer than `FEWEST`. Seconds for 2,000 terms."""
    if len(chosen) < FEWEST:
        return []
    import numpy as np
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):  # sums over several threads differ from run to run
        weights = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        grams = weights.fit_transform([term.name for term in chosen])
        dimensions = min(DIMENSIONS, len(chosen) - 1, grams.shape[1] - 1)
        vectors = TruncatedSVD(dimensions, random_state=0).fit_transform(grams)
        spread = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors / np.maximum(spread, 1e-12)
        tsne = TSNE(
            perplexity=_perplexity(len(chosen)),
            init="pca",
            learning_rate="auto",
            random_state=0,
            n_jobs=1,
        )
        plane = tsne.fit_transform(vectors)
    return [
        Place(term=term, x=float(x), y=float(y)) for term, (x, y) in zip(chosen, plane, strict=True)
    ]
