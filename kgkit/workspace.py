"""Where a workspace keeps what, and what it remembers. One folder; two things in it are precious.

kgkit.toml      the choices: store, teacher, model, split; and the workspace's own id
tables/         a copy of every loaded table, by content, and tables.json, the list of them   (precious)
ledger.sqlite   every ask and every reply, raw                                                (precious)
graph.ladybug   the graph, when the store is ladybug: made from the two above
rejects.csv     rows of the last load that were not taken, with the reason: made from the tables
"""

import hashlib
import json
import os
import secrets
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from kgkit.errors import ContentError, KgkitError
from kgkit.records import Role

DEFAULT_FOLDER = "kgkit-work"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a workspace remembers in kgkit.toml. Flags win over it, and the next command remembers them."""

    id: str = ""
    store: str = "ladybug"
    teacher: str = "reference"
    model: str = ""
    split: str = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTable:
    """One table of the workspace: `name` as it is cited, `origin` where it came from, and how it was read.

    `sheet` is the one sheet that was asked for, else None: a file may be there as several sheets loaded one by one. `layout` is what the user said, None if nothing; `found` names the layouts of its sheets.
    """

    name: str
    origin: str
    sha256: str
    found: str
    layout: str | None
    role: Role | None
    sheet: str | None
    tiers: tuple[str, ...] | None


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` beside `path`, flush it to disk, then take its place: a reader sees the old or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.chmod(name, 0o666 & ~_umask())  # noqa: PTH101 - mkstemp makes files for one user alone
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class Workspace:
    """A workspace folder. `create` makes it on first use; `choices` and `tables` read what it remembers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "kgkit.toml"
        self.ledger = root / "ledger.sqlite"
        self.lock = root / "workspace.lock"
        self.rejects = root / "rejects.csv"
        self._tables = root / "tables"

    def create(self) -> None:
        """Make the folder and its kgkit.toml if they are not there. Raises KgkitError if it cannot."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not self.config.exists():
                self.remember(Choices(id=secrets.token_hex(8)))
        except OSError as error:
            raise KgkitError(
                f"workspace {self.root}: {error.strerror}; choose another --workspace"
            ) from error

    def require(self) -> None:
        """Raise KgkitError unless something was loaded here: what commands that only read call first."""
        if not self.config.exists():
            raise KgkitError(
                f"{self.root} is no workspace yet: run `kgkit load` first, or name another with --workspace"
            )

    def choices(self) -> Choices:
        """What kgkit.toml says. Raises ContentError for a file that cannot be read."""
        if not self.config.exists():
            return Choices()
        try:
            said = tomllib.loads(self.config.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ContentError(f"{self.config}: {error}") from error
        known = {field.name for field in fields(Choices)}
        for key, value in said.items():
            if key not in known or not isinstance(value, str):
                raise ContentError(
                    f"{self.config}: {key} is not one of {', '.join(sorted(known))}, each a text"
                )
        return Choices(**said)

    def remember(self, choices: Choices) -> None:
        """Write kgkit.toml."""
        lines = [
            f"{key} = {json.dumps(value, ensure_ascii=False)}"
            for key, value in asdict(choices).items()
        ]
        write_atomically(self.config, ("\n".join(lines) + "\n").encode())

    def tables(self) -> list[LoadedTable]:
        """The tables of the workspace, by name and sheet."""
        path = self._tables / "tables.json"
        if not path.exists():
            return []
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise KgkitError(
                f"{path} is damaged ({error}): load the tables again into a new workspace"
            ) from None
        return [
            LoadedTable(**{**row, "tiers": None if row["tiers"] is None else tuple(row["tiers"])})
            for row in rows
        ]

    def table_path(self, table: LoadedTable) -> Path:
        """The workspace's own copy of a table."""
        return self._tables / f"{table.sha256}{Path(table.name).suffix.lower()}"

    def put_tables(self, tables: Iterable[LoadedTable], paths: Mapping[str, Path]) -> None:
        """Copy each table that is not here yet, then replace the list; copies that no entry names are removed.

        `paths` says where the tables that are new lie, by name. Raises KgkitError when one changed between
        reading and copying.
        """
        wanted = sorted(tables, key=lambda table: (table.name, table.sheet or ""))
        for table in wanted:
            copy = self.table_path(table)
            if copy.exists():
                continue
            data = paths[table.name].read_bytes()
            if hashlib.sha256(data).hexdigest() != table.sha256:
                raise KgkitError(f"{paths[table.name]} changed while it was read: load it again")
            write_atomically(copy, data)
        text = json.dumps([asdict(table) for table in wanted], ensure_ascii=False, indent=1)
        write_atomically(self._tables / "tables.json", text.encode())
        kept = {self.table_path(table).name for table in wanted} | {"tables.json"}
        for path in self._tables.iterdir():
            if path.name not in kept:
                path.unlink()


def free_name(name: str, origin: str, taken: Iterable[LoadedTable]) -> str:
    """`name`, or with its parent folder before it when another file (another origin) has that name already."""
    others = {table.name for table in taken if table.origin != origin}
    if name not in others:
        return name
    parts = Path(origin).parts
    for length in range(2, len(parts) + 1):
        longer = "/".join(parts[-length:])
        if longer not in others:
            return longer
    return name


def with_flags(choices: Choices, **flags: str | None) -> Choices:
    """`choices` with the flags that were given."""
    return replace(choices, **{key: value for key, value in flags.items() if value is not None})
