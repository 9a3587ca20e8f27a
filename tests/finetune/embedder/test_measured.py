"""What a run keeps of each query: read back as it was written, and a file that is something else is told."""

from pathlib import Path

import pytest

from kgkit.errors import KgkitError
from kgkit.finetune.embedder.measured import read_queries, write_queries

HEAD = "side,task,query,before,after\n"


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "queries.csv"
    before = {"FM2S": {"wear, of seals": 0.25, "b": 0.0}, "A2S": {"fan": 1.0}}
    after = {"FM2S": {"wear, of seals": 0.5, "b": 1.0}, "A2S": {"fan": 0.333333}}
    write_queries(path, {"dev": (before, after), "held-out": (after, before)})
    assert read_queries(path) == {"dev": (before, after), "held-out": (after, before)}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        HEAD.encode(),
        b"a,b\n1,2\n",
        f"{HEAD}dev,FM2S,wear,much,1\n".encode(),
        f"{HEAD}dev,FM2S\n".encode(),
        b"\xff\xfe\x00",
    ],
    ids=["empty", "no query", "other columns", "no number", "cut off", "no text"],
)
def test_a_file_that_is_something_else_is_told(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "queries.csv"
    path.write_bytes(text)
    with pytest.raises(KgkitError, match=r"queries\.csv: is not as it was written; delete"):
        read_queries(path)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KgkitError, match="missing; delete that folder"):
        read_queries(tmp_path / "queries.csv")
