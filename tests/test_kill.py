"""kill -9 in mid-run, again and again, on a server that fails on purpose: the end is the same, nothing is paid twice."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kgkit.teacher.ledger import Ledger
from tests.fault_replies import CONTENT_FAULTS
from tests.fault_server import TRANSPORT_FAULTS, Behaviour, FaultServer
from tests.test_walk import files
from tests.walk import kgkit

SLOW = ("hang", "stall", "drip", "five_megabytes")
KINDS = tuple(kind for kind in TRANSPORT_FAULTS + CONTENT_FAULTS if kind not in SLOW)
SEED = 20


def behaviour() -> Behaviour:
    return Behaviour(faults=0.2, kinds=KINDS, seed=SEED, latency_s=0.01, retry_after_s=0.05)


def replies(work: Path) -> int:
    """How many replies are on the disk."""
    if not (work / "ledger.sqlite").exists():
        return 0
    with Ledger.open(work / "ledger.sqlite", read_only=True) as ledger:
        return sum(counts.replied for counts in ledger.counts())


def answered(server: FaultServer, probing: set[str], since: int = 0) -> list[str]:
    """The requests that the server answered in full, each as often as it did, without those of the probe."""
    whole = (None, *CONTENT_FAULTS)
    good = [
        call for call in server.calls[since:] if call["status"] == 200 and call["fault"] in whole
    ]
    return [call["key"] for call in good if call["key"] not in probing]


def run_until(server: FaultServer, work: Path, calls: int) -> bool:
    """Start an expansion, kill its process group once the server has seen `calls` calls; whether it was killed."""
    line = [
        "-m",
        "kgkit",
        "--workspace",
        str(work),
        "--teacher",
        server.url,
        "-q",
        "expand",
        "--asset",
        "pump",
    ]
    process = subprocess.Popen(
        [sys.executable, *line],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if len(server.calls) >= calls:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            while server.in_flight:  # it still answers the dead
                time.sleep(0.005)
            return True
        time.sleep(0.005)
    return False


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.long)])
def test_killing_it_again_and_again_changes_nothing_and_repeats_nothing(
    kills: int, starter: Path, tmp_path: Path
) -> None:
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(starter, undisturbed)
    with FaultServer(behaviour()) as server:
        kgkit("expand", "--asset", "pump", "--teacher", server.url, workspace=undisturbed)
        total = len(server.calls)
    made = kgkit("status", "--json", workspace=undisturbed).json
    assert total > 700, "too few calls for the kills to mean anything"
    assert all(stage["accepted"] for stage in made["stages"].values()), "a stage made nothing"

    points = sorted(random.Random(SEED).sample(range(20, total - 20), kills))
    with FaultServer(behaviour()) as server:
        kgkit("doctor", "--teacher", server.url, workspace=tmp_path / "none")
        probing = {call["key"] for call in server.calls}
        killed, lost = 0, 0
        for point in points:
            calls_before, replies_before = len(server.calls), replies(starter)
            if run_until(server, starter, max(point, calls_before + 1)):
                killed += 1
                got = set(answered(server, probing, since=calls_before))
                lost_now = len(got) - (replies(starter) - replies_before)
                assert lost_now <= server.most_in_flight, "more than the calls in flight were lost"
                lost += lost_now
        assert killed >= kills - 2, "the runs ended before they could be killed"
        kgkit("expand", "--asset", "pump", "--teacher", server.url, workspace=starter)
        again = answered(server, probing)
        assert len(again) - len(set(again)) <= lost, (
            "a call whose reply was on the disk was sent again"
        )

    dumps = [kgkit("rebuild", "--json", workspace=work).json for work in (starter, undisturbed)]
    assert dumps[0]["before"] == dumps[1]["before"] == dumps[0]["after"] == dumps[1]["after"]
    for work, out in ((starter, "a"), (undisturbed, "b")):
        kgkit("export", tmp_path / out, workspace=work)
    assert files(tmp_path / "a") == files(tmp_path / "b")
