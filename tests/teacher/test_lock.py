import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from kgkit.errors import KgkitError
from kgkit.lock import hold

HOLDER = """
import sys, time
from pathlib import Path
from kgkit.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_holder_is_told_who_holds_it(tmp_path):
    path = tmp_path / "workspace.lock"
    with hold(path):
        started = time.monotonic()
        with pytest.raises(KgkitError) as refused, hold(path):
            pass
        assert time.monotonic() - started < 2
    assert f"process {os.getpid()} on {socket.gethostname()} since 20" in str(refused.value)
    with hold(path):
        pass


def test_a_dead_holder_is_taken_over(tmp_path):
    path = tmp_path / "workspace.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(KgkitError, match=f"process {holder.pid} "), hold(path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert f'"pid": {holder.pid}' in path.read_text()
        with hold(path):
            assert f'"pid": {os.getpid()}' in path.read_text()
