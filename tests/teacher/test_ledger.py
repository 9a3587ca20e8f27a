import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from kgkit.errors import KgkitError
from kgkit.records import Failure, TokenLogprobs
from kgkit.teacher.ledger import Ledger, Outcome, StageTotals
from tests.teacher.parts import make_ask, make_reply


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_what_is_recorded_comes_back_equal(ledger):
    ask = make_ask(1, schema={"type": "string", "enum": ["Yes", "No"]}, top_logprobs=2, number=3)
    reply = make_reply(ask, text="Ja\x00 ünïcode\n")
    logprobs = (TokenLogprobs(token="Ja", top=(("Ja", -0.1), ("Nein", -2.3))),)
    reply = type(reply)(**{f: getattr(reply, f) for f in reply.__slots__} | {"logprobs": logprobs})
    ledger.record([(ask, reply)])
    assert ledger.ask(ask.id) == ask
    assert ledger.reply(ask.id) == reply
    assert ledger.replies([ask.id, "unknown"]) == {ask.id: reply}
    assert list(ledger.asks(asset="pump")) == [ask]
    assert list(ledger.asks(asset="fan")) == []


def test_known_are_the_asks_that_have_a_reply(ledger):
    asks = [make_ask(i) for i in range(1200)]
    ledger.record([(ask, make_reply(ask)) for ask in asks[:1000]])
    ledger.record([(asks[1000], Failure(ask_id=asks[1000].id, kind="timeout", message="why"))])
    assert ledger.known(ask.id for ask in asks) == {ask.id for ask in asks[:1000]}
    assert ledger.known([]) == set()


def test_the_first_reply_stays(ledger):
    ask = make_ask()
    ledger.record([(ask, make_reply(ask, text="first"))])
    ledger.record([(ask, make_reply(ask, text="second"))])
    reply = ledger.reply(ask.id)
    assert reply is not None
    assert reply.text == "first"


def test_a_failure_is_replaced_by_what_came_later(ledger):
    ask = make_ask()
    for kind in ("timeout", "malformed"):
        ledger.record([(ask, Failure(ask_id=ask.id, kind=kind, message="why"))])
    assert ledger.counts()[0].failed == {"malformed": 1}
    assert ledger.reply(ask.id) is None
    ledger.record([(ask, make_reply(ask))])
    assert ledger.counts()[0].failed == {}


def test_outcomes_are_replaced_and_counted(ledger):
    asks = [make_ask(i) for i in range(4)]
    ledger.record([(ask, make_reply(ask)) for ask in asks[:3]])
    ledger.record([(asks[3], Failure(ask_id=asks[3].id, kind="bad_request", message="no"))])
    ledger.replace_outcomes("describe", "pump", [Outcome(ask_id="old", status="accepted")])
    rows = [
        Outcome(ask_id=asks[0].id, status="accepted"),
        Outcome(ask_id=asks[1].id, status="rejected", reason="echo"),
        Outcome(ask_id=asks[2].id, status="rejected", reason="echo"),
    ]
    ledger.replace_outcomes("describe", "pump", rows)
    ledger.replace_outcomes("describe", "fan", [])
    assert ledger.counts() == [
        StageTotals(
            stage="describe",
            asked=4,
            replied=3,
            failed={"bad_request": 1},
            accepted=1,
            rejected={"echo": 2},
            tokens_in=60,
            tokens_out=30,
        )
    ]


def test_outcomes_of_a_withdrawn_scope_are_dropped_in_every_stage(ledger):
    asks = [make_ask(i, stage=stage) for i, stage in enumerate(("describe", "link"))]
    ledger.record([(ask, make_reply(ask)) for ask in asks])
    for ask in asks:
        ledger.replace_outcomes(ask.stage, "pump", [Outcome(ask_id=ask.id, status="accepted")])
        ledger.replace_outcomes(ask.stage, "fan", [Outcome(ask_id="other", status="accepted")])
    assert [totals.accepted for totals in ledger.counts()] == [2, 2]
    ledger.drop_outcomes("pump")
    assert [totals.accepted for totals in ledger.counts()] == [1, 1]


def test_our_own_mistake_is_not_blamed_on_the_file(ledger):
    twice = [Outcome(ask_id="same", status="accepted")] * 2
    with pytest.raises(sqlite3.IntegrityError):
        ledger.replace_outcomes("describe", "pump", twice)


def test_runs_and_meta_are_kept(ledger):
    run = ledger.start_run("expand", {"asset": ["pump"]})
    assert ledger.runs()[0].finished is None
    ledger.finish_run(run, {"done": 3})
    ledger.set_meta("probe", {"logprobs": True})
    with Ledger.open(ledger.path, read_only=True) as reader:
        (kept,) = reader.runs()
        assert (kept.command, kept.arguments, kept.summary) == (
            "expand",
            {"asset": ["pump"]},
            {"done": 3},
        )
        assert kept.finished is not None
        assert reader.meta("probe") == {"logprobs": True}
        assert reader.meta("nothing") is None


def test_a_reader_sees_what_the_writer_recorded_and_cannot_write(ledger):
    ask = make_ask()
    with Ledger.open(ledger.path, read_only=True) as reader:
        ledger.record([(ask, make_reply(ask))])
        assert reader.reply(ask.id) == make_reply(ask)
        with pytest.raises(KgkitError, match="reading only"):
            reader.set_meta("a", 1)


def test_it_writes_through_to_the_disk(ledger):
    assert ledger._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert ledger._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_missing_ledger_is_no_empty_one(tmp_path):
    with pytest.raises(KgkitError, match="no ledger here yet"):
        Ledger.open(tmp_path / "none.sqlite", read_only=True)
    assert not (tmp_path / "none.sqlite").exists()


def test_another_version_is_refused(ledger):
    ledger.set_meta("schema_version", 99)
    with pytest.raises(KgkitError, match="version 99, this kgkit reads version 1"):
        Ledger.open(ledger.path)


@pytest.mark.parametrize("damage", ["no database at all, but some text" * 100, ""])
def test_a_foreign_file_is_refused_and_left_alone(tmp_path, damage):
    path = tmp_path / "ledger.sqlite"
    path.write_text(damage)
    if damage:
        with pytest.raises(KgkitError, match=r"damaged.*left as it is"):
            Ledger.open(path)
        assert path.read_text() == damage
    else:  # an empty file is an empty database
        Ledger.open(path).close()


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "ledger.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE photos (id)")
    other.close()
    with pytest.raises(KgkitError, match="no kgkit ledger"):
        Ledger.open(path)


def test_a_damaged_page_is_reported_and_left_alone(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        ledger.record([(ask := make_ask(i), make_reply(ask)) for i in range(500)])
    data = bytearray(path.read_bytes())
    data[4096 * 2 :] = b"\xff" * (len(data) - 4096 * 2)
    path.write_bytes(data)
    with pytest.raises(KgkitError, match="damaged"), Ledger.open(path) as ledger:
        ledger.replies([make_ask(i).id for i in range(500)])
    assert path.read_bytes() == bytes(data)


def test_an_ask_of_a_kilobyte_takes_at_most_two(tmp_path):
    path = tmp_path / "ledger.sqlite"
    words = Path(__file__).read_text().split()
    with Ledger.open(path) as ledger:
        for start in range(0, 2000, 200):
            batch = []
            for i in range(start, start + 200):
                ask = make_ask(text=" ".join(words[(i * 7) % 500 :][:130])[:1000] + str(i))
                batch.append(
                    (ask, make_reply(ask, text=" ".join(words[(i * 11) % 500 :][:80])[:600]))
                )
            ledger.record(batch)
    assert path.stat().st_size / 2000 <= 2000


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB where this user may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.name != "posix" or subprocess.run(command, capture_output=True).returncode:
        yield None
        return
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path, small_disk):
    path = (small_disk or tmp_path) / "ledger.sqlite"
    acknowledged: list[str] = []

    def fill(ledger):
        for i in range(100_000):
            ask = make_ask(i)
            ledger.record([(ask, make_reply(ask, text=f"{i} " * 400))])
            acknowledged.append(ask.id)

    with Ledger.open(path) as ledger:
        if small_disk is None:  # no right to mount: SQLite's own quota gives the same error
            assert ledger._writer is not None
            ledger._writer.execute("PRAGMA max_page_count = 100")
        with pytest.raises(KgkitError, match=r"full.*free some disk space"):
            fill(ledger)
        assert len(acknowledged) > 20
        assert set(ledger.replies(acknowledged)) == set(acknowledged)
    with Ledger.open(path, read_only=True) as ledger:
        assert set(ledger.replies(acknowledged)) == set(acknowledged)
