"""Trace anything back: passage -> parents -> ask and reply -> edges -> table cells. A cell forward: kgkit/rests.py."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kgkit.corpora import curated
from kgkit.corpora.cells import Link, cells
from kgkit.corpora.curation import Verdict
from kgkit.errors import UsageError
from kgkit.extend.descriptions import KIND as DESCRIPTION
from kgkit.extend.options import DESCRIPTIONS
from kgkit.graph.store import GraphStore
from kgkit.names import asset_id, failure_mode_id, sensor_id
from kgkit.schemas import graph_spec
from kgkit.teacher.ledger import Ledger
from kgkit.workspace import Workspace

_PASSAGE = (
    "p.id AS id, p.kind AS kind, p.name AS name, p.question AS question, p.text AS text, p.ask AS ask, p.asset AS asset,"
    " p.part AS part, p.sensor AS sensor, p.failure_mode AS mode, p.parents AS parents"
)


def back(id_: str, *, graph: GraphStore, ledger: Ledger, workspace: Workspace) -> list[Link]:
    """From the id of a passage, an ask or an entity, or from `asset/sensor/failure-mode`, to asks, replies, edges, cells.

    Parents follow their passage, each once, up to the knowledge document. Raises UsageError if there is no such thing.
    """
    curation = curated.last(graph, workspace.root)
    trace = _Trace(
        graph=graph,
        ledger=ledger,
        workspace=workspace,
        verdicts=curation.verdicts if curation else {},
    )
    parts = id_.split("/")
    if len(parts) == 3:
        return trace.relevance(parts[0], parts[1], parts[2])
    chain = trace.passages([id_]) or trace.entity(id_) or trace.of_ask(id_)
    if not chain:
        raise UsageError(
            f"nothing has the id {id_}: give the id of a passage, an ask (columns `id` and `ask` of an export) or an "
            "entity, or ASSET/SENSOR/FAILURE-MODE"
        )
    return chain


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trace:
    """What a chain is read from. `verdicts`: why the curation leaves passages out of exports, by id."""

    graph: GraphStore
    ledger: Ledger
    workspace: Workspace
    verdicts: Mapping[str, Verdict]

    def passages(self, ids: Iterable[str]) -> list[Link]:
        """Passages with their asks and parents, then the edges that they rest on; [] if there is none of them."""
        chain: list[Link] = []
        subjects: dict[tuple[str, str, str, str], None] = {}
        seen: set[str] = set()
        ids = list(ids)
        waiting = list(ids)
        while waiting:
            found = self._passage(waiting.pop(0))
            if found is None or str(found["id"]) in seen:
                continue
            seen.add(str(found["id"]))
            parents = found["parents"] if isinstance(found["parents"], list) else []
            waiting += [str(parent) for parent in parents]
            link: Link = {"what": "passage", "id": found["id"], "kind": found["kind"]}
            shown = {name: found[name] for name in ("question", "text") if found[name]}
            chain.append({**link, **shown, **({"parents": parents} if parents else {})})
            chain += [*self._left_out(str(found["id"])), *asked(str(found["ask"]), self.ledger)]
            subjects[_subject(found)] = None
        chain += self._said_by_entities(seen)
        for subject in subjects:
            chain += self._edges(*subject)
        return chain + self._names(ids)

    def of_ask(self, id_: str) -> list[Link]:
        """An ask with its reply, all passages that came of it, and the edges that it rests on."""
        ask = self.ledger.ask(id_)
        if ask is None:
            return []
        made = self.graph.query(
            "MATCH (p:Passage) WHERE p.ask = $ask RETURN p.id ORDER BY p.id", {"ask": id_}
        ).rows
        about = ask.subject
        part = (
            about.parent
            if about.parent and ask.stage in ("discover", "describe", DESCRIPTIONS)
            else ""
        )
        return [
            *asked(id_, self.ledger),
            *({"what": "passage", "id": passage} for (passage,) in made),
            *self._edges(about.asset, part, about.sensor or "", about.failure_mode or ""),
        ]

    def relevance(self, asset: str, sensor: str, mode: str) -> list[Link]:
        """The edges of a sensor and a failure mode on an asset, with asks and cells."""
        subject = (asset_id(asset), sensor_id(sensor), failure_mode_id(mode))
        chain = self._edges(subject[0], "", subject[1], subject[2])
        if not any(link["what"] == "edge RELEVANT_TO" for link in chain):
            raise UsageError(
                f"nothing is known about {'/'.join(subject)}; `kgkit query` shows what is"
            )
        return chain

    def entity(self, id_: str) -> list[Link]:
        """An entity, the nodes and cells that it is, the documents that mention it, the passages about it."""
        rows = self.graph.query(
            "MATCH (e:Entity {id: $id}) RETURN e.name AS name, e.kind AS kind", {"id": id_}
        ).dicts()
        if not rows:
            return []
        chain: list[Link] = [{"what": "entity", "id": id_, **rows[0]}]
        for _, label in sorted(graph_spec().relationships["SAME_AS"].ends):
            for row in self.graph.query(
                f"MATCH (:Entity {{id: $id}})-[r:SAME_AS]->(n:{label}) RETURN n.id AS id, r.how AS how, n.sources AS sources"
                " ORDER BY id",
                {"id": id_},
            ).dicts():
                same = {"label": label, "how": row["how"]}
                chain.append({"what": "edge SAME_AS", "id": f"{id_} -> {row['id']}", **same})
                chain += cells(_texts(row["sources"]), self.workspace)
        for match in (
            "(e:Entity {id: $id})-[r:NEAR_DUPLICATE_OF]->(o:Entity)",
            "(o:Entity)-[r:NEAR_DUPLICATE_OF]->(e:Entity {id: $id})",
        ):
            chain += [
                {"what": "near-duplicate", "id": other, "jaccard": jaccard}
                for other, jaccard in self.graph.query(
                    f"MATCH {match} RETURN o.id, r.jaccard ORDER BY o.id", {"id": id_}
                ).rows
            ]
        chain += self._mentions("e.id = $id", {"id": id_})
        about = "MATCH (p:Passage)-[:ABOUT]->(:Entity {id: $id}) RETURN p.id, p.kind, p.ask ORDER BY p.id"
        return chain + [
            {"what": "passage", "id": passage, "kind": kind, "ask": ask}
            for passage, kind, ask in self.graph.query(about, {"id": id_}).rows
        ]

    def _passage(self, id_: str) -> Mapping[str, object] | None:
        rows = self.graph.query(f"MATCH (p:Passage {{id: $id}}) RETURN {_PASSAGE}", {"id": id_})
        return next(iter(rows.dicts()), None)

    def _left_out(self, id_: str) -> list[Link]:
        """Why the curation leaves a passage out of every export, if it does."""
        verdict = self.verdicts.get(id_)
        if verdict is None:
            return []
        why = {"reason": verdict.reason, "detail": verdict.detail, "jaccard": verdict.jaccard}
        known = {name: value for name, value in why.items() if value not in (None, "")}
        original = {"duplicate_of": verdict.duplicate_of} if verdict.duplicate_of else {}
        return [{"what": "left out of exports", "id": id_, **known, **original}]

    def _said_by_entities(self, passages: Iterable[str]) -> list[Link]:
        """The entities that any of these passages is about, the mentions that they rest on, their interactions."""
        wanted = sorted(passages)
        rows = self.graph.query(
            "MATCH (p:Passage)-[:ABOUT]->(e:Entity) WHERE p.id IN $ids RETURN DISTINCT e.id AS id, e.name AS name,"
            " e.kind AS kind ORDER BY id",
            {"ids": wanted},
        ).dicts()
        if not rows:
            return []
        chain: list[Link] = [{"what": "entity", **row} for row in rows]
        chain += self._mentions(
            "p.id IN $ids AND e.id IN $entities",
            {"ids": wanted, "entities": [str(row["id"]) for row in rows]},
        )
        return chain + [
            {"what": "edge INTERACTS_WITH", "id": f"{one} -> {other}", "passage": passage}
            for one, other, passage in self.graph.query(
                "MATCH (a:Entity)-[r:INTERACTS_WITH]->(b:Entity) WHERE r.passage IN $ids RETURN a.id, b.id, r.passage"
                " ORDER BY r.passage",
                {"ids": wanted},
            ).rows
        ]

    def _mentions(self, condition: str, given: Mapping[str, str | list[str]]) -> Iterator[Link]:
        """MENTIONS edges, with how the document calls the entity and the ask that said so."""
        for row in self.graph.query(
            f"MATCH (p:Passage)-[r:MENTIONS]->(e:Entity) WHERE {condition} RETURN p.id AS document, e.id AS entity,"
            " r.name AS name, r.kind AS kind, r.ask AS ask, r.prompt AS prompt, r.prompt_version AS prompt_version,"
            " r.teacher AS teacher ORDER BY document, entity",
            dict(given),
        ).dicts():
            ends = f"{row.pop('document')} -> {row.pop('entity')}"
            yield {"what": "edge MENTIONS", "id": ends, **row}

    def _edges(self, asset: str, part: str, sensor: str, mode: str) -> list[Link]:
        """The edges that a subject rests on, each followed by its ask and its cells."""
        return self._stated(asset, _wanted(asset, part, sensor, mode))

    def _names(self, ids: Iterable[str]) -> list[Link]:
        """The edges that give an asset the terms that descriptions among these passages are about, with their cells."""
        chain: list[Link] = []
        for found in filter(None, map(self._passage, ids)):
            asset, part, sensor, mode = _subject(found)
            if found["kind"] == DESCRIPTION and not (sensor or mode):
                chain += self._stated(asset, _named(asset, part, str(found["name"])))
        return chain

    def _stated(
        self, asset: str, wanted: Iterable[tuple[str, str, Mapping[str, str]]]
    ) -> list[Link]:
        """Edges of a type by pattern, each followed by its ask and its cells."""
        chain: list[Link] = []
        for type_, match, given in wanted:
            extra = ", r.label AS label, r.reason AS reason" if type_ == "RELEVANT_TO" else ""
            for row in self.graph.query(
                f"MATCH {match} RETURN a.id AS head, b.id AS tail, r.origin AS origin, r.sources AS sources, r.ask AS ask{extra}",
                dict(given),
            ).dicts():
                known = {name: row[name] for name in ("origin", "label", "reason") if row.get(name)}
                link: Link = {"what": f"edge {type_}", "id": f"{row['head']} -> {row['tail']}"}
                chain.append({**link, "asset": asset, **known})
                chain += asked(str(row["ask"]), self.ledger) if row["ask"] else []
                chain += cells(_texts(row["sources"]), self.workspace)
        return chain


def _wanted(
    asset: str, part: str, sensor: str, mode: str
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Type, pattern and parameters of the edges that a subject rests on; first what it says most closely."""
    if sensor and mode:
        pattern = (
            "(a:Sensor {id: $sensor})-[r:RELEVANT_TO {asset: $asset}]->(b:FailureMode {id: $mode})"
        )
        yield "RELEVANT_TO", pattern, {"asset": asset, "sensor": sensor, "mode": mode}
    if sensor and part:
        for label in ("Subunit", "Component"):
            pattern = f"(a:{label} {{id: $part}})-[r:MONITORED_BY]->(b:Sensor {{id: $sensor}})"
            yield "MONITORED_BY", pattern, {"part": part, "sensor": sensor}
    elif sensor:
        pattern = "(a:Asset {id: $asset})-[r:MONITORED_BY]->(b:Sensor {id: $sensor})"
        yield "MONITORED_BY", pattern, {"asset": asset, "sensor": sensor}
    if mode:
        pattern = "(a:Asset {id: $asset})-[r:EXPERIENCES]->(b:FailureMode {id: $mode})"
        yield "EXPERIENCES", pattern, {"asset": asset, "mode": mode}


def _named(asset: str, part: str, name: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Type, pattern and parameters of the edges that name a part, a class, its category, one of its types or an FMEA's item."""
    if part:
        for type_, start, end in (
            ("HAS_SUBUNIT", "Asset", "Subunit"),
            ("HAS_COMPONENT", "Subunit", "Component"),
            ("HAS_COMPONENT", "Asset", "Component"),
        ):
            yield type_, f"(a:{start})-[r:{type_}]->(b:{end} {{id: $part}})", {"part": part}
        return
    given = {"asset": asset, "name": name}
    pattern = "(a:Category)-[r:HAS_CLASS]->(b:Asset {id: $asset})"
    own = {**given, "id": asset_id(name)}
    yield "HAS_CLASS", f"{pattern} WHERE a.name = $name OR b.id = $id", own
    pattern = "(a:Asset {id: $asset})-[r:HAS_TYPE]->(b:EquipmentType)"
    yield "HAS_TYPE", f"{pattern} WHERE b.name = $name", given
    pattern = "(a:Asset {id: $asset})-[r:EXPERIENCES]->(b:FailureMode)"
    yield "EXPERIENCES", f"{pattern} WHERE $name IN r.components", given


def asked(ask_id: str, ledger: Ledger) -> list[Link]:
    """An ask as it was sent, what became of it, and its raw reply; [] if the ledger does not know it."""
    ask, reply = ledger.ask(ask_id), ledger.reply(ask_id)
    if ask is None:
        return []
    link: Link = {
        "what": "ask",
        "id": ask_id,
        "stage": ask.stage,
        "prompt": f"{ask.prompt} version {ask.prompt_version}",
        "outcome": _outcome(ask_id, ledger),
        "model": ask.model,
        "temperature": ask.sampling.temperature,
        "max_tokens": ask.sampling.max_tokens,
        "sample": ask.sampling.number,
        "messages": "\n".join(f"{message.role}: {message.content}" for message in ask.messages),
    }
    if reply is None:
        return [link]
    return [
        link,
        {
            "what": "reply",
            "id": ask_id,
            "model": reply.model,
            "finish_reason": reply.finish_reason,
            "tokens": f"{reply.tokens_in} in, {reply.tokens_out} out",
            "text": reply.text,
        },
    ]


def _outcome(ask_id: str, ledger: Ledger) -> str:
    for outcome in ledger.outcomes(ask=ask_id):
        return f"{outcome.status} {outcome.reason}".strip()
    return "none: as the graph stands now it would not be asked, or its reply has not come"


def _subject(passage: Mapping[str, object]) -> tuple[str, str, str, str]:
    asset, part, sensor, mode = (
        value if isinstance(value, str) else ""
        for value in (passage[name] for name in ("asset", "part", "sensor", "mode"))
    )
    return asset, part, sensor, mode


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
