"""Search what an embedder is to learn for what must stay unseen, before the first step, and say which families it speaks of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kgkit.errors import ContentError
from kgkit.expand.scope import Assets
from kgkit.finetune.embedder.losses import Table
from kgkit.finetune.embedder.sampler import Batch
from kgkit.finetune.guard import Guard
from kgkit.finetune.rows import Row
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.retrieval.pose import Posed
from kgkit.splits import Side, Split

_BEFORE = " Query: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What passed: texts that were searched, and the asset families that queries and items are about."""

    checked: int
    families: list[str]


def check(
    batches: Iterable[Batch],
    sides: Mapping[str, Mapping[Side, Posed]],
    graph: GraphStore,
    split: Split,
    texts: Iterable[Row] = (),
) -> Passed:
    """Every text of every step, with all items that it is ranked among. `texts`: what is learned where no task is.

    Raises ContentError at the first that names a held-out asset, asks what the dev or held-out side asks, or is about a family of these.
    """
    texts = list(texts)
    learned = {} if texts else {name: posed["train"] for name, posed in sides.items()}
    families: set[str] = set()
    assets = Assets(reading.assets(graph, role=None), split).rows
    for name, posed in learned.items():
        if unseen := posed.families & {*split.held_out, *split.dev}:
            raise ContentError(
                f"{name}: a query of training is about {min(unseen)}, which has to stay unseen; check corpora/splits.yaml"
            )
        families |= posed.families
        families |= {
            split.family(assets[item.id].name) for item in posed.items if item.id in assets
        }
    families |= {split.family(assets[one.asset].name) for one in texts if one.asset in assets}
    tested = [
        _asked(name, query.text)
        for name, posed in sides.items()
        for side in ("dev", "held_out")
        for query in posed[side].queries
    ]
    guard = Guard(graph, split, "transfer", tested)
    words = {
        f"{row.words}\n{_asked(row.task, row.text.partition(_BEFORE)[2])}": row.task
        for batch in batches
        for row in batch
        if not texts  # these are searched as they stand in their file
    }
    words |= dict.fromkeys(Table(learned).texts, "items")
    drawn = [
        Row(id=str(number), part=task, text=text)
        for number, (text, task) in enumerate(words.items())
    ]
    for _ in guard.passed([*texts, *drawn]):
        pass
    return Passed(checked=guard.checked, families=sorted(families))


def _asked(task: str, query: str) -> str:
    """What a task asks, as a line: another task's item may read the same."""
    return f"{task} asks {query}"
