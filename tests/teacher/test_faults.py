"""The asking against a real server that fails on purpose, in this process and in ones that are killed."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from kgkit.errors import ServiceError
from kgkit.records import Reply
from kgkit.teacher.asking import Asker, Event
from kgkit.teacher.endpoint import EndpointFacts, EndpointTeacher
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.limits import Clock
from tests.fault_server import TRANSPORT_FAULTS, Behaviour, FaultServer
from tests.teacher.parts import FastClock, make_ask

WORKER = [sys.executable, str(Path(__file__).with_name("worker.py"))]


async def ask_all(server, path, asks, *, timeout_s=1.0, on_event=None, clock=None):
    teacher = EndpointTeacher(
        server.url, EndpointFacts(model="stub"), timeout_s=timeout_s, concurrency=32
    )
    try:
        with Ledger.open(path) as ledger:
            async with Asker(
                teacher, ledger, clock=clock or FastClock(20), on_event=on_event
            ) as asker:
                return [found async for found in asker.answers(asks)]
    finally:
        await teacher.close()


def test_a_fifth_of_all_calls_fail_in_every_way_and_every_ask_is_answered(tmp_path):
    behaviour = Behaviour(faults=0.2, seed=20261121, hang_s=2.0)
    asks = [make_ask(i) for i in range(1000)]
    with FaultServer(behaviour) as server:
        found = asyncio.run(ask_all(server, tmp_path / "l.sqlite", asks))
    done = [ask for ask, end in found if isinstance(end, Reply)]
    assert len(found) == 1000
    assert len({ask.id for ask, _ in found}) == 1000
    assert len(done) >= 999
    assert len(server.calls) <= 1350
    seen = {call["fault"] for call in server.calls if call["fault"]}
    assert len(seen) >= 30
    with Ledger.open(tmp_path / "l.sqlite", read_only=True) as ledger:
        assert len(ledger.replies(ask.id for ask in asks)) == len(done)


@pytest.mark.parametrize("fault", ["unauthorized", "forbidden", "payment", "not_found"])
def test_a_final_error_stops_within_five_seconds_and_says_why(tmp_path, fault):
    with FaultServer(Behaviour(always=fault)) as server:
        started = time.monotonic()
        with pytest.raises(ServiceError, match=r"teacher http://127.0.0.1:\d+/v1 stub: HTTP 40"):
            asyncio.run(ask_all(server, tmp_path / "l.sqlite", map(make_ask, range(100_000))))
        assert time.monotonic() - started < 5
        assert len(server.calls) <= 64


@pytest.mark.parametrize(
    "fault", ["rate_limited", "rate_limited_after", "server_error", "hang", "down"]
)
def test_an_outage_is_waited_out(tmp_path, fault):
    """The service fails for every call after the hundredth, until the asking has noticed."""

    def see(event: Event):
        if event.kind == "replied" and not recovered:
            answered.append(event)
            if len(answered) == 100:
                server.down() if fault == "down" else setattr(server.behaviour, "always", fault)
        if event.kind == "waiting":
            recovered.append(event)
            server.up() if fault == "down" else setattr(server.behaviour, "always", None)

    answered: list[Event] = []
    recovered: list[Event] = []
    with FaultServer(Behaviour(latency_s=0.002)) as server:
        found = asyncio.run(
            ask_all(server, tmp_path / "l.sqlite", map(make_ask, range(400)), on_event=see)
        )
    assert recovered
    assert [type(end) for _, end in found] == [Reply] * 400


def test_a_server_that_goes_away_is_given_up_after_patience(tmp_path):
    asks = map(make_ask, range(40))
    with FaultServer() as server:

        def see(event: Event):
            if event.kind == "replied":
                server.down()

        with pytest.raises(ServiceError, match=r"no reply for 600 s .*see that it runs"):
            asyncio.run(
                ask_all(server, tmp_path / "l.sqlite", asks, on_event=see, clock=FastClock(3000))
            )
        server.up()


def test_a_server_that_was_never_there_stops_the_run_at_once(tmp_path):
    with FaultServer() as server:
        server.down()
        started = time.monotonic()
        with pytest.raises(ServiceError, match=r"or check the address; run the same command again"):
            asyncio.run(
                ask_all(server, tmp_path / "l.sqlite", map(make_ask, range(1000)), clock=Clock())
            )
        assert time.monotonic() - started < 2
        server.up()


def finished_before(folder: Path, count: int) -> set[str]:
    with Ledger.open(folder / "ledger.sqlite", read_only=True) as ledger:
        return set(ledger.replies(make_ask(i).id for i in range(count)))


def start(folder: Path, server: FaultServer, count: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*WORKER, str(folder), server.url, str(count)], stderr=subprocess.PIPE, text=True
    )


def said_by(worker: "subprocess.Popen[str]") -> str:
    assert worker.stderr is not None
    with worker.stderr:
        return "" if worker.stderr.closed else worker.stderr.read()


def wait_for_calls(server: FaultServer, calls: int) -> None:
    deadline = time.monotonic() + 20
    while len(server.calls) < calls:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_kill_at_any_moment_repeats_no_finished_call(tmp_path):
    """Three kills with SIGKILL over 400 asks; what was in the ledger is never sent again."""
    count, concurrency = 400, 8
    draw = random.Random(7)
    quick = tuple(kind for kind in TRANSPORT_FAULTS if kind not in ("hang", "stall", "drip"))
    behaviour = Behaviour(faults=0.2, kinds=quick, seed=3, latency_s=0.005)
    with FaultServer(behaviour) as server:
        for _ in range(3):
            begun = len(server.calls)
            with start(tmp_path, server, count) as worker:
                wait_for_calls(server, begun + draw.randint(40, 120))
                worker.send_signal(signal.SIGKILL)
                worker.wait()
        kept = finished_before(tmp_path, count)
        assert 0 < len(kept) < count
        with start(tmp_path, server, count) as worker:
            assert worker.wait(60) == 0, said_by(worker)
    assert len(finished_before(tmp_path, count)) == count
    answered = Counter(
        call["key"] for call in server.calls if call["fault"] is None and call["status"] == 200
    )
    assert len(answered) == count
    assert sum(answered.values()) - count <= 3 * concurrency


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_process_drains_and_can_be_resumed(tmp_path, number):
    with FaultServer(Behaviour(latency_s=0.01)) as server:
        with start(tmp_path, server, 300) as worker:
            wait_for_calls(server, 100)
            worker.send_signal(number)
            stopped = time.monotonic()
            assert worker.wait(20) == 130
            assert time.monotonic() - stopped < 10
        assert len(finished_before(tmp_path, 300)) == len(server.calls) < 300
        with start(tmp_path, server, 300) as worker:
            assert worker.wait(20) == 0
    assert [call["attempt"] for call in server.calls] == [1] * 300


def test_of_five_processes_one_works_and_the_others_say_who(tmp_path):
    with FaultServer(Behaviour(latency_s=0.2)) as server:
        workers = [start(tmp_path, server, 300) for _ in range(5)]
        wait_for_calls(server, 8)
        refused = [worker for worker in workers if worker.poll() is not None or _ends(worker)]
        (holder,) = [worker for worker in workers if worker not in refused]
        assert len(refused) == 4
        for worker in refused:
            assert worker.returncode == 1
            assert f"in use by process {holder.pid} on " in said_by(worker)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        server.behaviour.latency_s = 0.0
        with start(tmp_path, server, 300) as worker:
            assert worker.wait(20) == 0
        said_by(holder)
    assert sum(call["attempt"] > 1 for call in server.calls) <= 8


def _ends(worker: "subprocess.Popen[str]") -> bool:
    try:
        worker.wait(1.0)
    except subprocess.TimeoutExpired:
        return False
    return True
