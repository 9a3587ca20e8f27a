"""Put the vectors of an embedder beside the nodes of a graph: passages by their text, everything else by its name.

What stands there with the same text and the same model is left as it is. A few thousand nodes are in memory at a time.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from kgkit.graph.store import GraphStore
from kgkit.graph.vectors import LABEL, Vector, vector_id
from kgkit.records import NodeKey, digest
from kgkit.retrieval.embedder import Embedder
from kgkit.schemas import graph_spec

NOT_EMBEDDED = frozenset({"Decision"})
"""Labels of nodes that no search is for."""
_AT_ONCE = 500
_MARK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What loading did. `by_label`: all vectors that are there now; `written` of them are new or changed.

    `replaced`: the model whose vectors were there before, "" for this one or none.
    """

    model: str
    dimensions: int
    replaced: str
    by_label: Mapping[str, int]
    written: int

    def as_json(self) -> dict[str, object]:
        """The report as the command line prints it."""
        total = sum(self.by_label.values())
        return {
            "model": self.model,
            "dimensions": self.dimensions,
            "replaced": self.replaced or None,
            "vectors": total,
            "written": self.written,
            "unchanged": total - self.written,
            "by_label": dict(self.by_label),
        }


def load_vectors(
    graph: GraphStore, embedder: Embedder, *, on_batch: Callable[[int], None] = lambda _: None
) -> Loaded:
    """Give every node of `graph` its vector by `embedder`, and make the index. `on_batch` is told how many nodes were looked at.

    A node without a text has none. Begun again after an interruption, it goes on where it was.
    """
    dimensions = embedder.documents(["a"]).shape[1]
    before = graph.vectors_of()
    graph.prepare_vectors(model=embedder.identity, dimensions=dimensions)
    written = 0
    for label in sorted(graph_spec().nodes.keys() - NOT_EMBEDDED):
        for nodes in _nodes(graph, label):
            known = graph.vector_marks([vector_id(key) for key, _, _ in nodes])
            marked = ((key, name, text, _mark(text)) for key, name, text in nodes)
            new = [one for one in marked if known.get(vector_id(one[0])) != one[3]]
            if new:
                values = embedder.documents([text for _, _, text, _ in new])
                graph.merge_vectors(
                    [
                        Vector(
                            node=key, name=name, mark=mark, model=embedder.identity, values=vector
                        )
                        for (key, name, _, mark), vector in zip(new, values, strict=True)
                    ]
                )
            written += len(new)
            on_batch(len(nodes))
        _remove_lost(graph, label)
    return Loaded(
        model=embedder.identity,
        dimensions=dimensions,
        replaced=before if before != embedder.identity else "",
        by_label=vectors_there(graph),
        written=written,
    )


def _remove_lost(graph: GraphStore, label: str) -> None:
    """Remove the vectors of nodes that were taken out by hand; those that kgkit removes take theirs along."""
    graph.query(
        f"MATCH (v:{LABEL}) WHERE v.label = $label AND NOT EXISTS {{ MATCH (n:`{label}`) WHERE n.id = v.node }} DELETE v",
        {"label": label},
        write=True,
    )


def vectors_there(graph: GraphStore) -> dict[str, int]:
    """How many vectors the graph has, by label; none where `load_vectors` never ran."""
    if not graph.vectors_of():
        return {}
    rows = graph.query(
        f"MATCH (v:{LABEL}) RETURN v.label AS label, count(*) AS n ORDER BY label"
    ).rows
    return {str(label): int(str(count)) for label, count in rows}


def _nodes(graph: GraphStore, label: str) -> Iterator[list[tuple[NodeKey, str, str]]]:
    """The nodes of a label that have a text: key, name and text, some at a time."""
    columns = {"id": "string", "name": "string"}
    if label == "Passage":
        columns |= {"question": "string", "text": "string"}
    for table in graph.scan(
        label, where="n.id > $first", parameters={"first": ""}, columns=columns
    ):
        for batch in table.to_batches(max_chunksize=_AT_ONCE):
            rows = [
                (NodeKey(label=label, id=row["id"]), row["name"] or "", _text(row))
                for row in batch.to_pylist()
            ]
            if found := [row for row in rows if row[2]]:
                yield found


def _text(row: Mapping[str, str | None]) -> str:
    said = (row.get("question"), row.get("text")) if "text" in row else (row["name"],)
    return "\n".join(one for one in said if one).strip()


def _mark(text: str) -> str:
    return digest(text)[:_MARK]
