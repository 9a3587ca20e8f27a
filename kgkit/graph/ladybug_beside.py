"""Run a statement that writes a file in a process beside this one, and read the file while it grows.

Ladybug gives pages back to the system all the time, and each time the system stops all running threads of the process, since they
share its memory: a copy beside a thread that works takes twice as long, one in another process does not.
"""

import contextlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from kgkit.errors import KgkitError

Ended = Callable[[], bool]
"""Whether what is written is whole. Raises KgkitError where the writing failed."""
_PAUSE_S = 0.005


@contextlib.contextmanager
def beside(
    graph: Path, statement: str, parameters: Mapping[str, Any], *, cache_mb: int
) -> Iterator[Ended]:
    """Run the statement on a graph file that is only read; who leaves the context ends it."""
    work = {
        "graph": str(graph),
        "cache_mb": cache_mb,
        "statement": statement,
        "parameters": dict(parameters),
    }
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "kgkit.graph.ladybug_copy"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended; `ended` says how
                _tell(process, json.dumps(work))
            yield partial(_ended, process)
        finally:
            process.kill()


def _tell(process: "subprocess.Popen[str]", what: str) -> None:
    if process.stdin is not None:
        with process.stdin as told:
            told.write(what)


def _ended(process: "subprocess.Popen[str]") -> bool:
    code = process.poll()
    if code is None:
        return False
    if code and process.stderr is not None:
        said = process.stderr.read().strip().splitlines() or [f"exit status {code}"]
        raise KgkitError(f"the graph could not be read: {said[-1]}; try again")
    return True


class GrowingFile(io.RawIOBase):
    """A file that is read while it is written: it ends where it is whole."""

    def __init__(self, file: Path, ended: Ended) -> None:
        super().__init__()
        self._file = file.open("rb", buffering=0)
        self._ended = ended

    def readable(self) -> bool:
        """See io.RawIOBase.readable."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """As many bytes as asked for, less only where the file ends. Raises KgkitError where the writing failed."""
        found = []
        while size:
            ended = self._ended()  # asked first: what it wrote before is there
            part = self._file.read(size)
            if part:
                found.append(part)
                size -= len(part)
            elif ended:
                break
            else:
                time.sleep(_PAUSE_S)
        return b"".join(found)

    def close(self) -> None:
        """See io.RawIOBase.close."""
        self._file.close()
        super().close()
