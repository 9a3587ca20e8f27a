import asyncio
import gc
import tracemalloc
from typing import Any

import pytest

from kgkit.errors import KgkitError, ServiceError
from kgkit.records import Ask, Failure, Reply
from kgkit.teacher.asking import Asker, Event
from kgkit.teacher.budget import Budget
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.limits import Policy
from tests.teacher.parts import FastClock, ScriptedTeacher, error, make_ask, make_reply


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def collect(teacher, ledger, asks, **options):
    """Every (ask, end) of one run, and the asker after it."""

    async def go():
        options.setdefault("clock", FastClock())
        async with Asker(teacher, ledger, **options) as asker:
            return [found async for found in asker.answers(asks)], asker

    return asyncio.run(go())


def test_every_ask_is_answered_and_recorded_and_never_asked_again(ledger):
    asks = [make_ask(i) for i in range(300)]
    first = ScriptedTeacher()
    found, _ = collect(first, ledger, asks)
    assert {ask.id: end for ask, end in found} == {ask.id: make_reply(ask) for ask in asks}
    assert sorted(first.calls) == sorted(ask.id for ask in asks)
    second = ScriptedTeacher()
    events: list[Event] = []
    again, _ = collect(second, ledger, asks, on_event=events.append)
    assert [(ask, make_reply(ask)) for ask in asks] == again
    assert second.calls == []
    assert {event.kind for event in events} == {"cached"}


def test_exactly_the_changed_asks_are_asked_again(ledger):
    base: dict[str, Any] = {
        "text": "t",
        "schema": {"type": "string"},
        "number": 1,
        "top_logprobs": 1,
    }
    changes: list[dict[str, Any]] = [{"text": "u"}, {"schema": None}, {"schema": {"type": "integer"}}, {"number": 2},
               {"top_logprobs": 0}, {"temperature": 0.5}, {"max_tokens": 401}]  # fmt: skip
    collect(ScriptedTeacher(), ledger, [make_ask(**base)])
    teacher = ScriptedTeacher()
    collect(teacher, ledger, [make_ask(**base), *(make_ask(**(base | c)) for c in changes)])
    assert len(teacher.calls) == len(changes)


def test_the_same_ask_of_two_callers_is_sent_once_and_both_get_the_reply(ledger):
    async def go():
        async def slow():
            await asyncio.sleep(0.01)

        teacher = ScriptedTeacher(lambda ask, tries: slow())
        asks = [make_ask(i % 10) for i in range(40)]
        async with Asker(teacher, ledger) as asker:

            async def caller():
                return [end async for _, end in asker.answers(asks)]

            both = await asyncio.gather(caller(), caller())
        assert [len(ends) for ends in both] == [40, 40]
        assert len(teacher.calls) == 10

    asyncio.run(go())


def test_a_reply_is_on_the_disk_before_it_is_seen(ledger):
    async def go():
        asks = [make_ask(i) for i in range(50)]
        with Ledger.open(ledger.path, read_only=True) as reader:
            async with Asker(ScriptedTeacher(), ledger) as asker:
                async for ask, end in asker.answers(asks):
                    assert reader.reply(ask.id) == end

    asyncio.run(go())


def test_callers_share_one_limit_and_asks_are_pulled_lazily(ledger):
    pulled = []

    def asks(start):
        for i in range(start, start + 5000):
            pulled.append(i)
            yield make_ask(i)

    async def go():
        async def slow():
            await asyncio.sleep(0.002)

        teacher = ScriptedTeacher(lambda ask, tries: slow(), concurrency=8)
        async with Asker(teacher, ledger, policy=Policy(max_concurrency=8)) as asker:

            async def caller(start):
                count = 0
                async for _ in asker.answers(asks(start)):
                    count += 1
                    if count == 100:
                        break

            await asyncio.gather(caller(0), caller(10_000))
        assert teacher.most_in_flight == 8

    asyncio.run(go())
    assert len(pulled) < 300


def test_a_slow_caller_holds_the_pulling_back(ledger):
    pulled = []
    many = asyncio.Event()

    def asks():
        for i in range(20_000):
            pulled.append(i)
            if i == 1000:
                many.set()
            yield make_ask(i)

    async def go():
        async with Asker(ScriptedTeacher(concurrency=64), ledger) as asker:
            answers = asker.answers(asks())
            await anext(answers)
            await many.wait()
            for _ in range(1000):  # many times what it takes to pull a hundred more
                await asyncio.sleep(0)
            assert len(pulled) < 1100
            await answers.aclose()

    asyncio.run(go())


@pytest.mark.parametrize("how", ["stopped before", "stopped on the way", "budget"])
def test_what_the_ledger_holds_comes_out_after_the_end_and_nothing_is_sent(ledger, how):
    asks = [make_ask(i) for i in range(2000)]
    held = asks[::2]
    ledger.record([(ask, make_reply(ask)) for ask in held])
    teacher = ScriptedTeacher(concurrency=4)

    async def go():
        found = []
        budget = Budget(max_calls=20 if how == "budget" else None)
        async with Asker(teacher, ledger, budget=budget) as asker:
            if how == "stopped before":
                asker.stop()
            async for ask, _ in asker.answers(asks):
                found.append(ask.id)
                if how == "stopped on the way" and len(found) == 30:
                    asker.stop()
        return found

    found = asyncio.run(go())
    assert {ask.id for ask in held} <= set(found)
    assert sorted(found) == sorted([ask.id for ask in held] + teacher.calls)
    assert len(teacher.calls) <= {"stopped before": 0, "budget": 20}.get(how, 60)


def test_a_teacher_that_is_slow_by_nature_is_not_cut_off(ledger):
    """Silent for 3,000 s of the clock: an outage for one, the usual for the other."""

    def run(silence_s):
        clock = FastClock(factor=2000)

        async def slow():
            await asyncio.sleep(clock.real_s(3000))

        teacher = ScriptedTeacher(lambda ask, tries: slow() if tries == 1 else None)
        teacher.silence_s = silence_s
        kinds: list[str] = []
        collect(teacher, ledger, [make_ask(int(silence_s))], clock=clock,
                on_event=lambda event: kinds.append(event.kind))  # fmt: skip
        return "waiting" in kinds

    assert run(120.0)
    assert not run(30_000.0)


def test_a_slow_first_reply_is_waited_for_and_a_hang_in_mid_run_is_noticed(ledger):
    """The first call takes 300 s of the clock; the second is never answered at its first try."""
    clock = FastClock(factor=2000)
    kinds: list[str] = []

    async def slow():
        await asyncio.sleep(clock.real_s(300))

    async def for_ever():
        await asyncio.Event().wait()

    first, second = make_ask(1), make_ask(2)

    def script(ask, tries):
        if ask.id == first.id:
            return slow()
        return for_ever() if tries == 1 else None

    teacher = ScriptedTeacher(script, concurrency=1)
    found, _ = collect(teacher, ledger, [first, second], clock=clock,
                       on_event=lambda event: kinds.append(event.kind))  # fmt: skip
    assert [ask.id for ask, _ in found] == [first.id, second.id]
    assert teacher.calls == [first.id, second.id, second.id]
    assert kinds.index("replied") < kinds.index("waiting")


def test_an_error_while_planning_is_raised_and_what_was_asked_is_kept(ledger):
    def asks():
        yield make_ask(1)
        raise KeyError("no such sensor")

    with pytest.raises(KeyError, match="no such sensor"):
        collect(ScriptedTeacher(), ledger, asks())


def test_passing_faults_are_tried_again(ledger):
    kinds = ["rate_limited", "server_error", "timeout", "connection", "malformed"]
    teacher = ScriptedTeacher(lambda ask, tries: error(kinds[tries - 1]) if tries <= 5 else None)
    found, _ = collect(teacher, ledger, [make_ask(1)])
    assert found == [(make_ask(1), make_reply(make_ask(1)))]
    assert len(teacher.calls) == 6


@pytest.mark.parametrize("kind", ["bad_request", "server_error", "malformed"])
def test_a_bad_item_fails_alone_and_is_asked_again_by_the_next_run(ledger, kind):
    asks = [make_ask(i) for i in range(60)]
    bad = asks[20].id
    teacher = ScriptedTeacher(lambda ask, tries: error(kind) if ask.id == bad else None)
    found, _ = collect(teacher, ledger, asks)
    ends = {ask.id: end for ask, end in found}
    assert ends.pop(bad) == Failure(ask_id=bad, kind=kind, message=f"{kind} on purpose")
    assert all(isinstance(end, Reply) for end in ends.values())
    assert len(ends) == 59
    assert teacher.calls.count(bad) == (1 if kind == "bad_request" else Policy().attempts)
    assert ledger.counts()[0].failed == {kind: 1}
    again = ScriptedTeacher()
    collect(again, ledger, asks)
    assert again.calls == [bad]
    assert ledger.counts()[0].failed == {}


@pytest.mark.parametrize(
    ("kind", "step"),
    [("unauthorized", "OPENAI_API_KEY"), ("payment", "credit"), ("not_found", "--model")],
)
def test_a_refusal_for_good_stops_everything_with_the_next_step(ledger, kind, step):
    asks = [make_ask(i) for i in range(500)]
    teacher = ScriptedTeacher(lambda ask, tries: error(kind) if len(teacher.calls) > 100 else None)
    with pytest.raises(ServiceError, match=f"teacher scripted: {kind} on purpose; .*{step}"):
        collect(teacher, ledger, asks, policy=Policy(max_concurrency=8))
    assert len(teacher.calls) <= 110
    done = len(ledger.replies(ask.id for ask in asks))
    assert 90 <= done <= 100
    rest = ScriptedTeacher()
    collect(rest, ledger, asks)
    assert len(rest.calls) == 500 - done


@pytest.mark.parametrize("kind", ["rate_limited", "server_error", "connection", "malformed"])
def test_a_total_outage_is_sat_out_and_no_ask_fails(ledger, kind):
    """The service is away for a hundred seconds of the clock in mid-run; then everything is answered."""
    clock = FastClock(factor=300)
    left: list[float] = []

    def script(ask, tries):
        if len(teacher.calls) <= 50:
            return None
        left.append(clock.now())
        return error(kind) if clock.now() < left[0] + 100 else None

    teacher = ScriptedTeacher(script)
    events: list[Event] = []
    asks = [make_ask(i) for i in range(200)]
    found, _ = collect(teacher, ledger, asks, clock=clock, on_event=events.append)
    assert all(isinstance(end, Reply) for _, end in found)
    assert len(found) == 200
    kinds = [event.kind for event in events]
    assert kinds.index("waiting") < kinds.index("resumed")
    assert len(teacher.calls) < 200 + 60


def test_an_outage_beyond_patience_stops_the_run_which_can_be_resumed(ledger):
    asks = [make_ask(i) for i in range(100)]
    answered = {ask.id for ask in asks[:40]}
    teacher = ScriptedTeacher(
        lambda ask, tries: None if ask.id in answered else error("connection")
    )
    with pytest.raises(ServiceError, match=r"no reply for 600 s \(connection on purpose\)"):
        collect(teacher, ledger, asks, clock=FastClock(factor=5000))
    again = ScriptedTeacher()
    found, _ = collect(again, ledger, asks)
    assert len(found) == 100
    assert len(again.calls) == 60


def test_hanging_calls_are_cut_off_and_asked_again(ledger):
    clock = FastClock(factor=3000)

    async def hang():
        await asyncio.sleep(3600)

    def script(ask, tries):
        return hang() if 20 < len(teacher.calls) <= 28 else None

    teacher = ScriptedTeacher(script)
    found, _ = collect(teacher, ledger, [make_ask(i) for i in range(60)], clock=clock)
    assert [type(end) for _, end in found] == [Reply] * 60


def test_a_stated_wait_is_kept_to_and_holds_no_slot(ledger):
    clock = FastClock(factor=2000)
    sent: dict[str, list[float]] = {}

    def script(ask, tries):
        sent.setdefault(ask.id, []).append(clock.now())
        late = ask.id == make_ask(0).id and tries == 1
        return error("rate_limited", retry_after_s=900.0) if late else None

    teacher = ScriptedTeacher(script, concurrency=1)
    found, _ = collect(teacher, ledger, [make_ask(i) for i in range(10)], clock=clock)
    assert len(found) == 10
    first, second = sent[make_ask(0).id]
    assert second - first >= 900
    assert found[-1][0] == make_ask(0)


@pytest.mark.parametrize("cap", [{"max_calls": 50}, {"max_tokens": 50 * 30 + 420}])
def test_a_budget_stops_cleanly_and_the_rest_can_be_asked_later(ledger, cap):
    asks = [make_ask(i) for i in range(100)]
    collect(ScriptedTeacher(), ledger, asks[90:])
    teacher = ScriptedTeacher(concurrency=16)
    found, asker = collect(teacher, ledger, asks, budget=Budget(**cap))
    assert asker.budget.exhausted
    assert 48 <= len(teacher.calls) <= 51
    assert len(found) == len(teacher.calls) + 10  # what the ledger holds costs nothing
    assert asker.budget.spent.calls == len(teacher.calls)
    assert len(collect(ScriptedTeacher(), ledger, asks)[0]) == 100


def test_failed_calls_spend_the_budget_but_refused_ones_do_not(ledger):
    kinds = {0: "malformed", 1: "rate_limited", 2: "connection"}
    teacher = ScriptedTeacher(
        lambda ask, tries: error(kinds[len(teacher.calls) - 1]) if len(teacher.calls) <= 3 else None
    )
    _, asker = collect(teacher, ledger, [make_ask(1)])
    assert asker.budget.spent.calls == 2


@pytest.mark.parametrize("at", range(5, 100, 24))
def test_stop_drains_what_is_in_flight_and_ends_the_iteration(ledger, at):
    async def go():
        async def slow():
            await asyncio.sleep(0.003)

        teacher = ScriptedTeacher(lambda ask, tries: slow())
        asks = [make_ask(i) for i in range(200)]
        found = []
        async with Asker(teacher, ledger, policy=Policy(max_concurrency=8)) as asker:
            async for ask, _ in asker.answers(asks):
                found.append(ask.id)
                if len(found) == at:
                    asker.stop()
            assert asker.ended == "interrupted"
        assert sorted(found) == sorted(teacher.calls)
        assert at <= len(found) <= at + 3 * 8
        assert set(ledger.replies(ask.id for ask in asks)) == set(found)

    asyncio.run(go())


def test_stop_does_not_wait_for_a_call_that_hangs_nor_for_a_backoff(ledger):
    async def go():
        clock = FastClock(100)
        waiting = make_ask(0).id

        def script(ask, tries):
            return (
                error("rate_limited", retry_after_s=1e6)
                if ask.id == waiting
                else asyncio.Event().wait()
            )

        def see(event):
            if event.kind == "sent" and len(teacher.calls) >= 8:
                asyncio.get_running_loop().call_soon(asker.stop)

        teacher = ScriptedTeacher(script)
        async with Asker(teacher, ledger, clock=clock, on_event=see) as asker:
            asks = (make_ask(i) for i in range(20))
            assert [found async for found in asker.answers(asks)] == []
        assert clock.now() <= 15

    asyncio.run(go())


def test_a_ledger_that_cannot_be_written_stops_the_run(ledger):
    asks = [make_ask(i) for i in range(300)]
    begin = ledger.begin
    written: list[tuple[Ask, object]] = []

    def full(finished):
        if len(written) > 50:
            raise KgkitError("disk full")
        commit = begin(finished)
        written.extend(finished)
        return commit

    ledger.begin = full
    found = []

    async def go():
        async with Asker(ScriptedTeacher(), ledger) as asker:
            async for ask, end in asker.answers(asks):
                found.append((ask, end))

    with pytest.raises(KgkitError, match="disk full"):
        asyncio.run(go())
    assert {ask.id for ask, _ in found} <= {ask.id for ask, _ in written}


def test_a_broken_teacher_is_no_silent_loss(ledger):
    def script(ask, tries):
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        collect(ScriptedTeacher(script), ledger, [make_ask(i) for i in range(30)])


def test_memory_does_not_grow_with_the_number_of_asks(ledger):
    async def run(start, stop):
        async with Asker(ScriptedTeacher(concurrency=32), ledger) as asker:
            async for _ in asker.answers(make_ask(i) for i in range(start, stop)):
                pass

    def peak(start, stop):
        gc.collect()
        tracemalloc.start()
        asyncio.run(run(start, stop))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    small = peak(0, 300)
    assert peak(10_000, 11_500) - small < 1_500_000
