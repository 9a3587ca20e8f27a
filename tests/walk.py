"""The command line as tests use it: run it, read its JSON, keep its exit code."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgkit.cli import main

MATRIX = """Failure Mode,vibration,temperature,oil debris
bearing damage,x,x,x
unbalance,x,,
seal failure,,x,
"""
"""A plant's own sensor matrix: 3 failure modes x 3 sensors, 5 ticks."""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def kgkit(
    *arguments: str | Path,
    workspace: Path,
    code: int | tuple[int, ...] = 0,
    env: dict[str, str] | None = None,
) -> Result:
    """Run the command and check its exit code: in this process, or in its own where it gets an environment."""
    line = ["--workspace", str(workspace), *map(str, arguments)]
    result = _in_a_process(line, env) if env else _here(line)
    codes = (code,) if isinstance(code, int) else code
    assert result.code in codes, f"exit {result.code}\n{result.out}\n{result.err}"
    return result


def _here(line: list[str]) -> Result:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(line)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return Result(code, out.getvalue(), err.getvalue())


def _in_a_process(line: list[str], environment: dict[str, str]) -> Result:
    run = subprocess.run(
        [sys.executable, "-m", "kgkit", *line],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    return Result(run.returncode, run.stdout, run.stderr)


def matrix_file(folder: Path, text: str = MATRIX, name: str = "mixer.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
