"""Small sides of tasks, by hand."""

from kgkit.retrieval.pose import Item, Posed, Query
from kgkit.retrieval.tasks import read_tasks
from kgkit.retrieval.texts import query_text

SENSORS = ("vibration", "oil debris", "temperature")


def posed(name: str, relevant: dict[tuple[str, str], set[str]]) -> Posed:
    """A training side of FM2S or S2FM: (asset, key) -> names of what is relevant, of SENSORS."""
    (task,) = read_tasks([name])
    queries = []
    for asset, key in relevant:
        shown = {"asset": asset, "category": "Rotating equipment", task.key: key}
        queries.append(
            Query(
                id=f"{asset}/{key}",
                text=query_text(task, shown),
                shown=shown,
                key=key,
                families=(asset,),
            )
        )
    return Posed(
        task=task,
        side="train",
        queries=tuple(queries),
        items=tuple(Item(id=one, text=one, trained=True) for one in SENSORS),
        relevant={f"{a}/{k}": frozenset(found) for (a, k), found in relevant.items()},
        seen={},
        sources=(),
        left_out={},
    )


FM2S = posed(
    "FM2S",
    {
        ("pump", "bearing damage"): {"vibration", "oil debris"},
        ("pump", "unbalance"): {"vibration"},
        ("fan", "bearing damage"): {"vibration"},
        ("fan", "seal leak"): {"temperature"},
    },
)
S2FM = posed("S2FM", {("pump", "vibration"): {"oil debris"}})
