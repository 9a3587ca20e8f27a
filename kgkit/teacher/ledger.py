"""Every ask and its raw reply, in one SQLite file: the truth that graph and corpora are remade from.

`record` returns only when its rows are on the disk (WAL, synchronous = FULL). Replies are never changed or
removed; outcomes (what parsing made of them) are derived and replaced on every run. The one writer of a
workspace holds its lock (`kgkit.lock`); readers may open the file at any time.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Literal, Self

from kgkit.errors import KgkitError
from kgkit.records import Ask, Failure, Reply, canonical_json
from kgkit.teacher.ledger_file import connect, explained, prepare, rolled_back, version
from kgkit.teacher.ledger_rows import (
    ASK_COLUMNS,
    OUTCOME_COLUMNS,
    REPLY_COLUMNS,
    SCHEMA_VERSION,
    AskOutcome,
    ask_from_row,
    ask_row,
    outcome_from_row,
    reply_from_row,
    reply_row,
)

_IDS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What parsing made of one reply: `reason` is empty for accepted, a countable word for rejected."""

    ask_id: str
    status: Literal["accepted", "rejected"]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTotals:
    """How one stage stands: asks with an end, replies, failures by kind, outcomes by reason, tokens."""

    stage: str
    asked: int
    replied: int
    failed: Mapping[str, int]
    accepted: int
    rejected: Mapping[str, int]
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One command that wrote to the ledger. `finished` and `summary` are None when it never ended."""

    id: int
    command: str
    arguments: Mapping[str, object]
    started: str
    finished: str | None
    summary: Mapping[str, object] | None


class Ledger:
    """An open ledger. Safe to use from several threads; writes are serialised."""

    def __init__(
        self, path: Path, *, reader: sqlite3.Connection, writer: sqlite3.Connection | None
    ) -> None:
        self.path = path
        self._reader = reader
        self._writer = writer
        self._writing = threading.Lock()

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Open the ledger at `path`; a writer makes it if it is missing.

        Raises KgkitError if it is damaged, of another version, or missing for a reader. A damaged ledger
        is left exactly as it is.
        """
        if read_only and not path.exists():
            raise KgkitError(f"{path}: no ledger here yet; `kgkit expand` writes one")
        with explained(path):
            writer = None if read_only else connect(path, read_only=False)
            if writer is not None:
                prepare(writer)
            reader = connect(path, read_only=True)
            found = version(reader)
        if found != SCHEMA_VERSION:
            raise KgkitError(
                f"{path}: ledger version {found}, this kgkit reads version {SCHEMA_VERSION}; "
                "use the kgkit that wrote it, or another --workspace"
            )
        return cls(path, reader=reader, writer=writer)

    def close(self) -> None:
        """Close the file. A writer folds the write-ahead log back into it."""
        self._reader.close()
        if self._writer is not None:
            with self._writing:
                self._writer.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- asks and replies -------------------------------------------------------------------------

    def record(self, finished: Sequence[tuple[Ask, Reply | Failure]]) -> None:
        """Write asks with their ends in one transaction; on the disk when this returns.

        The first reply to an ask stays for ever; a failure is replaced by a later failure or reply.
        Raises KgkitError (disk full, damaged file): then nothing of `finished` was written.
        """
        self.begin(finished)()

    def begin(self, finished: Sequence[tuple[Ask, Reply | Failure]]) -> Callable[[], None]:
        """`record` in two halves: write now, and get what makes it durable, to be called once.

        The second half waits for the disk and may run in another thread; all else waits for it. (Inserting
        in a thread would hand the interpreter to and fro at every row.)
        """
        now = int(time.time())
        rows = [(ask_row(ask), ask.id, end) for ask, end in finished]
        db = self._writable()
        self._writing.acquire()
        try:
            with explained(self.path), rolled_back(db):
                db.execute("BEGIN IMMEDIATE")
                for row, ask_id, end in rows:
                    db.execute(_INSERT_ASK, row)
                    if isinstance(end, Reply):
                        db.execute(_INSERT_REPLY, (*reply_row(end), now, ask_id))
                        db.execute(_DELETE_FAILURE, (ask_id,))
                    else:
                        db.execute(_INSERT_FAILURE, (end.kind, end.message, now, ask_id))
        except BaseException:
            self._writing.release()
            raise
        return self._commit

    def _commit(self) -> None:
        try:
            db = self._writable()
            with explained(self.path), rolled_back(db):
                db.execute("COMMIT")
        finally:
            self._writing.release()

    def replies(self, ask_ids: Iterable[str]) -> dict[str, Reply]:
        """The replies that are there, by ask id."""
        ids = list(ask_ids)
        found: dict[str, Reply] = {}
        for start in range(0, len(ids), _IDS_AT_ONCE):
            some = ids[start : start + _IDS_AT_ONCE]
            marks = ",".join("?" * len(some))
            for row in self._read(_SELECT_REPLY + f"WHERE asks.id IN ({marks})", some):
                found[row[0]] = reply_from_row(row)
        return found

    def known(self, ask_ids: Iterable[str]) -> set[str]:
        """Those of `ask_ids` that have a reply. Reads no texts: 350,000 take seconds."""
        ids = iter(ask_ids)
        found: set[str] = set()
        while some := list(islice(ids, _IDS_AT_ONCE)):
            marks = ",".join("?" * len(some))
            sql = f"SELECT id FROM asks JOIN replies USING (n) WHERE id IN ({marks})"  # noqa: S608
            found.update(ask_id for (ask_id,) in self._read(sql, some))
        return found

    def reply(self, ask_id: str) -> Reply | None:
        """The reply to one ask, None if there is none yet."""
        return self.replies([ask_id]).get(ask_id)

    def ask(self, ask_id: str) -> Ask | None:
        """One ask exactly as it was sent, None if it is not known."""
        for row in self._read(f"SELECT {ASK_COLUMNS} FROM asks WHERE id = ?", (ask_id,)):  # noqa: S608
            return ask_from_row(row)
        return None

    def asks(self, *, asset: str) -> Iterator[Ask]:
        """The asks about an asset, ordered by id."""
        sql = f"SELECT {ASK_COLUMNS} FROM asks WHERE asset = ? ORDER BY id"  # noqa: S608
        for row in self._read(sql, (asset,)):
            yield ask_from_row(row)

    def average_seconds(self) -> float | None:
        """Mean seconds of the last 1,000 replies that took time at all, None if there are none."""
        rows = self._read(
            "SELECT avg(seconds) FROM (SELECT seconds FROM replies WHERE seconds > 0 ORDER BY n DESC LIMIT 1000)"
        )
        seconds = rows[0][0]
        return None if seconds is None else float(seconds)

    # --- outcomes ---------------------------------------------------------------------------------

    def replace_outcomes(self, stage: str, asset: str, rows: Iterable[Outcome]) -> None:
        """Put `rows` in the place of every outcome of this stage and asset."""
        with self._transaction() as db:
            db.execute("DELETE FROM outcomes WHERE stage = ? AND asset = ?", (stage, asset))
            db.executemany(
                "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?)",
                ((stage, asset, row.ask_id, row.status, row.reason) for row in rows),
            )

    def drop_outcomes(self, asset: str) -> None:
        """Forget every outcome of this asset, in all stages. Asks and replies stay."""
        with self._transaction() as db:
            db.execute("DELETE FROM outcomes WHERE asset = ?", (asset,))

    def outcomes(self, *, asset: str | None = None, ask: str | None = None) -> list[AskOutcome]:
        """What became of the replies that count now: all, those about an asset or that to one ask; by the ask's id."""
        given = {"asks.asset": asset, "asks.id": ask}
        wanted = [f"{column} = ?" for column, value in given.items() if value is not None]
        rows = self._read(
            f"SELECT DISTINCT {OUTCOME_COLUMNS} FROM asks JOIN outcomes"  # noqa: S608
            " ON outcomes.stage = asks.stage AND outcomes.ask_id = asks.id"
            f" {'WHERE' if wanted else ''} {' AND '.join(wanted)} ORDER BY id",
            [value for value in given.values() if value is not None],
        )
        return [outcome_from_row(row) for row in rows]

    def counts(self) -> list[StageTotals]:
        """How every stage stands, by name."""
        totals = self._read(
            "SELECT stage, count(*), count(replies.n), total(tokens_in), total(tokens_out) "
            "FROM asks LEFT JOIN replies USING (n) GROUP BY stage ORDER BY stage"
        )
        failed = _grouped(
            self._read(
                "SELECT stage, kind, count(*) FROM failures JOIN asks USING (n) GROUP BY 1, 2"
            )
        )
        accepted = _grouped(
            self._read(
                "SELECT stage, '', count(DISTINCT ask_id) FROM outcomes WHERE status = 'accepted' GROUP BY 1"
            )
        )
        rejected = self.rejected()
        return [
            StageTotals(
                stage=stage,
                asked=asked,
                replied=replied,
                failed=failed.get(stage, {}),
                accepted=accepted.get(stage, {}).get("", 0),
                rejected=rejected.get(stage, {}),
                tokens_in=int(tokens_in),
                tokens_out=int(tokens_out),
            )
            for stage, asked, replied, tokens_in, tokens_out in totals
        ]

    def rejected(self) -> dict[str, dict[str, int]]:
        """Stage -> reason -> how many replies were not accepted for it; no ask and no reply is read."""
        return _grouped(
            self._read(
                "SELECT stage, reason, count(DISTINCT ask_id) FROM outcomes WHERE status = 'rejected' GROUP BY 1, 2"
            )
        )

    # --- runs and meta ----------------------------------------------------------------------------

    def start_run(self, command: str, arguments: Mapping[str, object]) -> int:
        """Note that a command begins; its id."""
        with self._transaction() as db:
            cursor = db.execute(
                "INSERT INTO runs (command, arguments, started) VALUES (?, ?, ?)",
                (command, canonical_json(dict(arguments)), _now()),
            )
            return cursor.lastrowid or 0

    def finish_run(self, run_id: int, summary: Mapping[str, object]) -> None:
        """Note how a command ended."""
        with self._transaction() as db:
            db.execute(
                "UPDATE runs SET finished = ?, summary = ? WHERE id = ?",
                (_now(), canonical_json(dict(summary)), run_id),
            )

    def runs(self) -> list[Run]:
        """Every run, oldest first."""
        return [
            Run(
                id=run_id,
                command=command,
                arguments=json.loads(arguments),
                started=started,
                finished=finished,
                summary=None if summary is None else json.loads(summary),
            )
            for run_id, command, arguments, started, finished, summary in self._read(
                "SELECT id, command, arguments, started, finished, summary FROM runs ORDER BY id"
            )
        ]

    def meta(self, key: str) -> object:
        """The JSON value kept under `key`, None if there is none."""
        for (value,) in self._read("SELECT value FROM meta WHERE key = ?", (key,)):
            found: object = json.loads(value)
            return found
        return None

    def meta_items(self, prefix: str) -> dict[str, object]:
        """Every (key, value) whose key starts with `prefix`, by key."""
        rows = self._read(
            "SELECT key, value FROM meta WHERE substr(key, 1, ?) = ? ORDER BY key",
            (len(prefix), prefix),
        )
        return {key: json.loads(value) for key, value in rows}

    def set_meta(self, key: str, value: object) -> None:
        """Keep a JSON value under `key`."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, canonical_json(value)))

    # --- the file ---------------------------------------------------------------------------------

    def _read(self, sql: str, values: Sequence[object] = ()) -> list[tuple]:  # type: ignore[type-arg]
        with explained(self.path):
            return self._reader.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._writable()
        with self._writing, explained(self.path), rolled_back(db):
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")

    def _writable(self) -> sqlite3.Connection:
        if self._writer is None:
            raise KgkitError(
                f"{self.path} is open for reading only; this command may not write to it"
            )
        return self._writer


_INSERT_ASK = (
    f"INSERT INTO asks ({ASK_COLUMNS}) "  # noqa: S608
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)
_INSERT_REPLY = (
    f"INSERT OR IGNORE INTO replies (n, {REPLY_COLUMNS}, at) "  # noqa: S608
    "SELECT n, ?, ?, ?, ?, ?, ?, ?, ? FROM asks WHERE id = ?"
)
_DELETE_FAILURE = "DELETE FROM failures WHERE n = (SELECT n FROM asks WHERE id = ?)"
_INSERT_FAILURE = "INSERT OR REPLACE INTO failures (n, kind, message, at) SELECT n, ?, ?, ? FROM asks WHERE id = ?"
_SELECT_REPLY = f"SELECT asks.id, {REPLY_COLUMNS} FROM asks JOIN replies USING (n) "  # noqa: S608


def _grouped(rows: Iterable[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
    groups: dict[str, dict[str, int]] = {}
    for stage, name, count in sorted(rows):
        groups.setdefault(stage, {})[name] = count
    return groups


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
