"""Turn pages of Passage nodes into the rows of the passage corpora (KD_Base, KD_Rephrase, KD_QA, KD_Extend), in the order of ids.

Column by column, in Arrow: a page's texts are never Python objects.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from kgkit.corpora.kinds import CORPUS_OF
from kgkit.corpora.row import LINEAGE, SIDES, PassageCorpus
from kgkit.graph.arrow import arrow_types
from kgkit.graph.passage_tables import passage_tables
from kgkit.graph.store import GraphStore
from kgkit.splits import Split

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = {"id": "string", "text": "string", "kind": "string", **LINEAGE}
CHAT = {"messages": "messages", "prompt": "messages", "completion": "messages"}
_BETWEEN = "\x1f"
_KEYS_KNOWN = 2**15


def pages(graph: GraphStore, split: Split, kinds: Iterable[str]) -> Iterator["pa.Table"]:
    """The passages of these kinds by id, a page at a time: id, kind, question, text and the columns of LINEAGE."""
    cells = _Cells(graph)
    for table in passage_tables(graph, kinds):
        asset = table.column("asset").combine_chunks().dictionary_encode()
        sides = [SIDES[split.side(name)] for name in asset.dictionary.to_pylist()]
        known = {
            name: table.column("prompt" if name == "prompt_name" else name)
            for name in ("id", "kind", "question", "text", *LINEAGE)
            if name not in ("sources", "split")
        }
        yield _table({**known, "sources": cells.of(table), "split": _taken(sides, asset.indices)})


def texts(name: str, summary: str) -> PassageCorpus:
    """A corpus whose rows are texts: the passages of its kinds."""
    return PassageCorpus(
        name=name, summary=summary, columns=TEXT, kinds=kinds_of(name), begin=lambda _: _as_they_are
    )


def questions(name: str, summary: str) -> PassageCorpus:
    """A corpus of questions with their answers, as `messages` and as `prompt` and `completion`."""
    return PassageCorpus(
        name=name,
        summary=summary,
        columns={"id": "string", "question": "string", "answer": "string", **CHAT, **LINEAGE},
        kinds=kinds_of(name),
        begin=lambda _: _questions,
    )


def kinds_of(corpus: str) -> frozenset[str]:
    """The kinds of passage that a corpus is made of."""
    return frozenset(kind for kind, name in CORPUS_OF.items() if name == corpus)


def of_kinds(page: "pa.Table", kinds: frozenset[str]) -> "pa.Table":
    """The passages of a page that are of these kinds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return page.filter(pc.is_in(page.column("kind"), pa.array(sorted(kinds), pa.string())))


def _as_they_are(page: "pa.Table") -> "pa.Table":
    return page


def _questions(page: "pa.Table") -> "pa.Table":
    answer = page.column("text")
    whole = page.append_column("answer", answer)
    for name, column in chat(page.column("question"), answer).items():
        whole = whole.append_column(name, column)
    return whole


def chat(asked: "pa.ChunkedArray", answered: "pa.ChunkedArray") -> dict[str, "pa.Array"]:
    """Turns in the two shapes that trainers read: a conversation, and a prompt with its completion."""
    import numpy as np
    import pyarrow as pa

    count = len(asked)
    both = pa.concat_arrays([*asked.chunks, *answered.chunks] or [pa.array([], pa.string())])
    in_turn = np.arange(2 * count).reshape(2, count).T.ravel()
    return {
        "messages": _turns(both.take(pa.array(in_turn)), ["user", "assistant"]),
        "prompt": _turns(both.slice(0, count), ["user"]),
        "completion": _turns(both.slice(count), ["assistant"]),
    }


def _turns(content: "pa.Array", roles: list[str]) -> "pa.Array":
    """Contents as conversations of as many turns as there are roles."""
    import numpy as np
    import pyarrow as pa

    count = len(content) // len(roles)
    role = _taken(roles, pa.array(np.tile(np.arange(len(roles)), count)))
    turns = pa.StructArray.from_arrays([role, content], ["role", "content"])
    offsets = np.arange(count + 1, dtype=np.int32) * len(roles)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), turns)


def _taken(values: Sequence[str], indices: "pa.Array") -> "pa.Array":
    import pyarrow as pa

    return pa.array(values, pa.string()).take(indices)


def _table(columns: dict[str, "pa.Array | pa.ChunkedArray"]) -> "pa.Table":
    import pyarrow as pa

    return pa.table(columns)


class _Cells:
    """The table cells that each relation rests on."""

    def __init__(self, graph: GraphStore) -> None:
        self._cells = _cells(graph)
        # what a document became is about the same: few keys, many passages
        self._known = lru_cache(maxsize=_KEYS_KNOWN)(self._of)

    def of(self, table: "pa.Table") -> "pa.Array":
        """For each passage the cells of all relations between what it is about, sorted."""
        import pyarrow as pa
        import pyarrow.compute as pc

        about = [table.column(name) for name in ("asset", "part", "sensor", "failure_mode")]
        key = pc.binary_join_element_wise(*about, _BETWEEN).combine_chunks().dictionary_encode()
        found = list(map(self._known, key.dictionary.to_pylist()))
        return pa.array(found, arrow_types()["string[]"]).take(key.indices)

    def _of(self, key: str) -> list[str]:
        asset, part, sensor, failure_mode = key.split(_BETWEEN)
        keys = [
            (asset, "" if part else sensor, ""),
            (asset, "", failure_mode),
            (asset, sensor, failure_mode),
        ]
        cells = [self._cells[relation] for relation in keys if relation in self._cells]
        return sorted(set().union(*cells)) if cells else []


def _cells(graph: GraphStore) -> dict[tuple[str, str, str], list[str]]:
    """(asset, sensor, failure mode) -> the cells that state the relation; "" where it does not apply."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for match, keys in (
        ("(a:Asset)-[r:MONITORED_BY]->(s:Sensor)", "a.id, s.id, ''"),
        ("(a:Asset)-[r:EXPERIENCES]->(f:FailureMode)", "a.id, '', f.id"),
        ("(s:Sensor)-[r:RELEVANT_TO]->(f:FailureMode)", "r.asset, s.id, f.id"),
    ):
        rows = graph.query(f"MATCH {match} WHERE r.origin = 'table' RETURN {keys}, r.sources").rows
        for asset, sensor, mode, sources in rows:
            if isinstance(sources, list):
                found[str(asset), str(sensor), str(mode)] = sources
    return found
