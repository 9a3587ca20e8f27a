"""Who holds a workspace: asked without taking it, and right after a holder that was killed."""

import json
import os
import socket
from pathlib import Path

import pytest

from kgkit.errors import KgkitError
from kgkit.lock import hold, holder


def test_the_holder_is_named_as_long_as_it_holds(tmp_path: Path):
    path = tmp_path / "workspace.lock"
    assert holder(path) is None
    with hold(path):
        name = holder(path)
        assert name is not None
        assert name.startswith(f"process {os.getpid()} on {socket.gethostname()} since 20")
        with pytest.raises(
            KgkitError, match=f"is in use by process {os.getpid()} on .*--workspace"
        ):
            hold(path).__enter__()
    assert holder(path) is None


def test_a_killed_holder_holds_nothing_and_asking_leaves_the_lock_free(tmp_path: Path):
    path = tmp_path / "workspace.lock"
    path.write_text(json.dumps({"pid": 1, "host": "h", "since": "2024"}), encoding="utf-8")
    assert holder(path) is None
    with hold(path):
        assert holder(path) is not None
