"""Trace anything back to its cells, prompt and reply, and a cell forward to all that rests on it."""

import re
from collections.abc import Iterable
from pathlib import Path

from kgkit.errors import UsageError
from kgkit.graph.store import GraphStore
from kgkit.names import asset_id, failure_mode_id, sensor_id
from kgkit.records import SourceRef
from kgkit.schemas import graph_spec
from kgkit.tables.read import read_file
from kgkit.teacher.ledger import Ledger
from kgkit.workspace import Workspace

_ADDRESS = re.compile(r"(?P<place>.+)!(?P<column>[A-Z]+)(?P<row>\d+)")
_TYPED = re.compile(r"(?P<place>.+):(?P<row>\d+):(?P<column>\d+|[A-Za-z]+)")
_TRACED = ("EXPERIENCES", "MONITORED_BY", "RELEVANT_TO")
"""The relations that asks are about."""
Link = dict[str, object]
"""One step of a chain: `what` it is, its `id`, and what is known about it."""


def back(id_: str, *, graph: GraphStore, ledger: Ledger, workspace: Workspace) -> list[Link]:
    """From a passage id, an ask id or `asset/sensor/failure-mode` to ask, reply, edges and cells.

    Raises UsageError if there is no such thing.
    """
    parts = id_.split("/")
    if len(parts) == 3:
        return _from_edge(parts[0], parts[1], parts[2], graph, ledger, workspace)
    passages = graph.query(
        "MATCH (p:Passage) WHERE p.id = $id RETURN p.text AS text, p.kind AS kind, p.ask AS ask, p.asset AS asset,"
        " p.part AS part, p.sensor AS sensor, p.failure_mode AS mode",
        {"id": id_},
    ).dicts()
    if passages:
        found = passages[0]
        link: Link = {
            "what": "passage",
            "id": id_,
            "kind": found["kind"],
            "text": found["text"],
        }
        subject = (str(found["asset"]), _text(found["sensor"]), _text(found["mode"]))
        return [link, *_ask(str(found["ask"]), ledger), *_edges(*subject, graph, ledger, workspace)]
    ask = ledger.ask(id_)
    if ask is None:
        raise UsageError(
            f"nothing has the id {id_}: give a passage's or an ask's id (columns `id` and `ask` of an export) or "
            "ASSET/SENSOR/FAILURE-MODE"
        )
    made = graph.query("MATCH (p:Passage) WHERE p.ask = $ask RETURN p.id", {"ask": id_}).rows
    subject = (ask.subject.asset, ask.subject.sensor or "", ask.subject.failure_mode or "")
    return [
        *_ask(id_, ledger),
        *({"what": "passage", "id": passage} for (passage,) in made),
        *_edges(*subject, graph, ledger, workspace),
    ]


def forward(cell: str, *, graph: GraphStore, ledger: Ledger, workspace: Workspace) -> list[Link]:
    """From FILE:ROW:COL (or FILE#SHEET:ROW:COL; COL a number or letters) to edges, asks and passages.

    Raises UsageError for another form or an unknown file.
    """
    source = _cell(cell, workspace)
    chain = _cells([source], workspace)
    asks: dict[str, None] = {}
    for type_, start, end, extra in (
        ("EXPERIENCES", "Asset", "FailureMode", "a.id"),
        ("MONITORED_BY", "Asset", "Sensor", "a.id"),
        ("RELEVANT_TO", "Sensor", "FailureMode", "r.asset"),
    ):
        rows = graph.query(
            f"MATCH (a:{start})-[r:{type_}]->(b:{end}) WHERE $cell IN r.sources"
            f" RETURN a.id AS head, b.id AS tail, {extra} AS asset ORDER BY asset, head, tail",
            {"cell": source},
        ).dicts()
        for row in rows:
            chain.append(
                {
                    "what": f"edge {type_}",
                    "id": f"{row['head']} -> {row['tail']}",
                    "asset": row["asset"],
                }
            )
            asset = str(row["asset"])
            sensor = (
                str(row["head"] if start == "Sensor" else row["tail"])
                if type_ != "EXPERIENCES"
                else None
            )
            mode = str(row["tail"]) if type_ != "MONITORED_BY" else None
            for ask in ledger.asks(asset=asset):
                touched = (sensor is None or ask.subject.sensor == sensor) and (
                    mode is None or ask.subject.failure_mode == mode
                )
                if touched and (sensor or mode):
                    asks.setdefault(ask.id)
    chain += _parts_of_the_tree(source, graph)
    if len(chain) == 1:
        chain.append({"what": "nothing", "id": "no relation of the graph rests on this cell"})
    for ask_id in asks:
        chain += _ask(ask_id, ledger, brief=True)
        made = graph.query(
            "MATCH (p:Passage) WHERE p.ask = $ask RETURN p.id, p.name", {"ask": ask_id}
        ).rows
        chain += [{"what": "passage", "id": passage, "about": name} for passage, name in made]
    return chain


def _parts_of_the_tree(source: str, graph: GraphStore) -> list[Link]:
    """The edges that say what an asset is and of what it consists, as far as they rest on a cell."""
    chain: list[Link] = []
    for type_, relationship in sorted(graph_spec().relationships.items()):
        for start, end in relationship.ends:
            if type_ in _TRACED or start == "Passage":
                continue
            rows = graph.query(
                f"MATCH (a:{start})-[r:{type_}]->(b:{end}) WHERE $cell IN r.sources RETURN a.id, b.id ORDER BY a.id, b.id",
                {"cell": source},
            ).rows
            chain += [{"what": f"edge {type_}", "id": f"{head} -> {tail}"} for head, tail in rows]
    return chain


def _from_edge(
    asset: str, sensor: str, mode: str, graph: GraphStore, ledger: Ledger, workspace: Workspace
) -> list[Link]:
    subject = (asset_id(asset), sensor_id(sensor), failure_mode_id(mode))
    chain = _edges(*subject, graph, ledger, workspace)
    if not any(link["what"] == "edge RELEVANT_TO" for link in chain):
        raise UsageError(f"nothing is known about {'/'.join(subject)}; `kgkit query` shows what is")
    return chain


def _edges(
    asset: str, sensor: str, mode: str, graph: GraphStore, ledger: Ledger, workspace: Workspace
) -> list[Link]:
    """The edges that a subject rests on, each followed by its ask and its cells."""
    wanted = [
        (
            "MONITORED_BY",
            "MATCH (a:Asset {id: $asset})-[r:MONITORED_BY]->(b:Sensor {id: $sensor})",
            bool(sensor),
        ),
        (
            "EXPERIENCES",
            "MATCH (a:Asset {id: $asset})-[r:EXPERIENCES]->(b:FailureMode {id: $mode})",
            bool(mode),
        ),
        (
            "RELEVANT_TO",
            "MATCH (a:Sensor {id: $sensor})-[r:RELEVANT_TO {asset: $asset}]->(b:FailureMode {id: $mode})",
            bool(sensor and mode),
        ),
    ]
    chain: list[Link] = []
    for type_, match, applies in wanted:
        if not applies:
            continue
        given = {"asset": asset, "sensor": sensor, "mode": mode}
        parameters = {name: value for name, value in given.items() if f"${name}" in match}
        extra = ", r.label AS label, r.reason AS reason" if type_ == "RELEVANT_TO" else ""
        for row in graph.query(
            f"{match} RETURN a.id AS head, b.id AS tail, r.origin AS origin, r.sources AS sources, r.ask AS ask{extra}",
            parameters,
        ).dicts():
            sources = row["sources"] if isinstance(row["sources"], list) else []
            known = {name: row[name] for name in ("origin", "label", "reason") if row.get(name)}
            chain.append(
                {
                    "what": f"edge {type_}",
                    "id": f"{row['head']} -> {row['tail']}",
                    "asset": asset,
                    **known,
                }
            )
            chain += _ask(str(row["ask"]), ledger) if row["ask"] else []
            chain += _cells([str(source) for source in sources], workspace)
    return chain


def _ask(ask_id: str, ledger: Ledger, *, brief: bool = False) -> list[Link]:
    ask, reply = ledger.ask(ask_id), ledger.reply(ask_id)
    if ask is None:
        return []
    link: Link = {
        "what": "ask",
        "id": ask_id,
        "stage": ask.stage,
        "prompt": f"{ask.prompt} version {ask.prompt_version}",
    }
    if not brief:
        link |= {
            "model": ask.model,
            "temperature": ask.sampling.temperature,
            "max_tokens": ask.sampling.max_tokens,
            "sample": ask.sampling.number,
            "messages": "\n".join(f"{message.role}: {message.content}" for message in ask.messages),
        }
    if reply is None or brief:
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


def _cells(sources: list[str], workspace: Workspace) -> list[Link]:
    """Each cell with its file's origin and its text as the workspace's copy has it."""
    texts = _texts(sources, workspace)
    tables = {table.name: table for table in workspace.tables()}
    chain: list[Link] = []
    for source in sources:
        match = _ADDRESS.fullmatch(source)
        table = tables.get(_place(match["place"], tables)[0]) if match else None
        link: Link = {"what": "cell", "id": source, "text": texts.get(source, "")}
        if table is not None:
            link |= {"file": table.origin, "sha256": table.sha256}
        chain.append(link)
    return chain


def _texts(sources: list[str], workspace: Workspace) -> dict[str, str]:
    """Cell address -> its text as it stands in the workspace's copy."""
    found: dict[str, str] = {}
    tables = {table.name: table for table in workspace.tables()}
    by_file: dict[str, list[tuple[str, re.Match[str]]]] = {}
    for source in sources:
        if match := _ADDRESS.fullmatch(source):
            name, sheet = _place(match["place"], tables)
            if name in tables:
                by_file.setdefault(name, []).append((sheet, match))
    for name, cells in by_file.items():
        sheets = {
            sheet.name: sheet.rows
            for sheet in read_file(workspace.table_path(tables[name]), name=name).sheets
        }
        for sheet, match in cells:
            rows, row, column = (
                sheets.get(sheet, []),
                int(match["row"]),
                _number(match["column"]),
            )
            if row <= len(rows) and column <= len(rows[row - 1]):
                found[match[0]] = rows[row - 1][column - 1]
    return found


def _place(place: str, names: Iterable[str]) -> tuple[str, str]:
    """`FILE#SHEET` or `FILE` as (file, sheet); a name of `names` may itself hold a `#`, and its folders may be missing."""
    known = {Path(name).name: name for name in names} | {name: name for name in names}
    for short in sorted(known, key=len, reverse=True):
        if place == short or place.startswith(f"{short}#"):
            return known[short], place[len(short) + 1 :]
    file, _, sheet = place.partition("#")
    return file, sheet


def _cell(cell: str, workspace: Workspace) -> str:
    """FILE[#SHEET]:ROW:COL, or the printed FILE[#SHEET]!B4, as the address that `sources` hold."""
    match = _ADDRESS.fullmatch(cell) or _TYPED.fullmatch(cell)
    if match is None:
        raise UsageError(
            f"--forward {cell}: write FILE:ROW:COL or FILE#SHEET!B4, for instance iso17359/pump.csv!D5"
        )
    tables = {table.name: table for table in workspace.tables()}
    name, sheet = _place(match["place"], tables)
    if name not in tables:
        raise UsageError(f"no loaded table is called {name}; there are {', '.join(tables)}")
    sheets = [one.name for one in read_file(workspace.table_path(tables[name]), name=name).sheets]
    sheet = sheet or (sheets[0] if len(sheets) == 1 else "")
    if sheet not in sheets:
        raise UsageError(
            f"--forward {cell}: name the sheet, as in {name}#{sheets[0]}!B4; there are {', '.join(sheets)}"
        )
    column = int(match["column"]) if match["column"].isdigit() else _number(match["column"])
    return str(SourceRef(file=name, sheet=sheet, row=int(match["row"]), column=column))


def _number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
