"""One writer at a time: a lock file that the system frees when its holder dies, whatever killed it.

The file says who holds it (pid, host, since when) for the message to whoever comes second; the lock itself
is the operating system's, so that a dead holder never has to be guessed from a process number.
"""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from kgkit.errors import KgkitError

_LOCKED_BYTE = (
    1 << 30
)  # far behind the text, which others must be able to read (Windows locks bytes)


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock file `path` (made if missing) while the block runs.

    Raises KgkitError at once, naming pid, host and start time, if a living process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _taken(handle):
            raise KgkitError(f"{path.parent} is in use by {_use(path)}")
        me = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(me).encode(), 0)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(path: Path) -> str | None:
    """Who holds the lock file `path` now (`process 12 on host since ...`), or None."""
    who = _written(path)
    if who is None:  # a free lock is an empty file, so that asking seldom has to touch it
        return None
    handle = os.open(path, os.O_RDWR)
    try:
        return None if _taken(handle) else _words(who)
    finally:
        os.close(handle)


def _use(path: Path) -> str:
    who = _written(path)
    if who is None:
        return "another kgkit process that has just started; try again when it has ended"
    return (
        f"{_words(who)}; wait until it has ended, "
        f"stop it there (kill {who['pid']}), or give --workspace another folder"
    )


def _written(path: Path) -> dict[str, object] | None:
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
        return {name: who[name] for name in ("pid", "host", "since")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _words(who: dict[str, object]) -> str:
    return f"process {who['pid']} on {who['host']} since {who['since']}"
