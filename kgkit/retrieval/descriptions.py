"""Read what descriptions the graph holds (kgkit/extend/descriptions.py): a value that queries show -> its sentence."""

from kgkit.expand.scope import Assets
from kgkit.extend.descriptions import KIND
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.names import normal_form
from kgkit.splits import Split


def descriptions(graph: GraphStore, split: Split, *, held_out: bool) -> dict[str, str]:
    """Normal form of a value (kgkit.names.normal_form) -> one sentence about it, by that form.

    Without `held_out` no sentence of a held-out asset's run, and none that names a held-out asset. Where several passages
    describe one value: an open asset's before a held-out one's, a class, category or type before a part before a sensor before
    a failure mode, then the one of the smallest asset id and passage id. Empty where nothing was described.
    """
    assets = Assets(reading.assets(graph, role=None), split)
    found: dict[str, tuple[tuple[bool, bool, bool, bool, str, str], str]] = {}
    for row in _rows(graph):
        asset, text = row["asset"], row["text"]
        kept_out = split.side(asset) == "held_out"
        names_one = assets.held_out_pattern.search(f"{row['name']} {text}") is not None
        if (kept_out or names_one) and not held_out:
            continue
        part, sensor, mode = (bool(row[name]) for name in ("part", "sensor", "failure_mode"))
        place = (kept_out, mode, sensor, part, asset, row["id"])
        form = normal_form(row["name"])
        found[form] = min(found.get(form, (place, text)), (place, text))
    return {form: text for form, (_, text) in sorted(found.items())}


def described_held_out(graph: GraphStore, split: Split) -> list[str]:
    """Ids of the held-out assets that were described after all: what a model card has to say."""
    return sorted({row["asset"] for row in _rows(graph) if split.side(row["asset"]) == "held_out"})


def _rows(graph: GraphStore) -> list[dict[str, str]]:
    columns = ("id", "name", "text", "asset", "part", "sensor", "failure_mode")
    wanted = ", ".join(f"p.{name} AS {name}" for name in columns)
    rows = graph.query(
        f"MATCH (p:Passage) WHERE p.kind = $kind RETURN {wanted} ORDER BY p.id", {"kind": KIND}
    ).dicts()
    return [{name: str(row[name] or "") for name in columns} for row in rows]
