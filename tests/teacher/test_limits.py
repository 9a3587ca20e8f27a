import asyncio

import pytest

from kgkit.errors import UsageError
from kgkit.teacher.budget import Amount, Budget
from kgkit.teacher.limits import Limiter, Policy
from kgkit.teacher.outage import Service
from tests.teacher.parts import error, make_ask, make_reply


def fill(limiter):
    async def go():
        while limiter.in_flight < int(limiter.limit):
            assert await limiter.acquire()

    asyncio.run(go())


def test_the_limit_grows_by_one_per_round_while_replies_stay_fast():
    limiter = Limiter(20, 22)
    for _ in range(5):
        fill(limiter)
        for _ in range(25):
            limiter.replied(1.0)
    assert limiter.limit == 22.0


def test_the_limit_does_not_grow_when_replies_slow_down_with_it():
    limiter = Limiter(20, 512)
    fill(limiter)
    for _ in range(20):
        limiter.replied(1.0)
    grown = limiter.limit
    fill(limiter)
    for _ in range(200):
        limiter.replied(3.0)
    assert limiter.limit == grown == 21.0


def test_the_limit_does_not_grow_when_nobody_needs_it():
    limiter = Limiter(20, 512)
    for _ in range(100):
        limiter.replied(1.0)
    assert limiter.limit == 20.0


def test_stray_overloads_do_not_shrink_the_limit_but_a_burst_does_once():
    limiter = Limiter(30, 512)
    fill(limiter)
    for _ in range(10):
        limiter.overloaded()
        for _ in range(30):
            limiter.replied(1.0)
    assert limiter.limit >= 30
    before = limiter.limit
    for _ in range(25):
        limiter.overloaded()
    assert limiter.limit == pytest.approx(before * 2 / 3)


def test_the_limit_never_falls_below_one():
    limiter = Limiter(2, 512)
    for _ in range(1000):
        limiter.overloaded()
    assert limiter.limit == 1.0


def test_slots_go_to_who_came_first_and_never_beyond_the_limit():
    async def go():
        limiter = Limiter(2, 2)
        order = []

        async def worker(name):
            assert await limiter.acquire()
            order.append((name, limiter.in_flight))
            await asyncio.sleep(0)
            limiter.release()

        await asyncio.gather(*(worker(i) for i in range(6)))
        assert [name for name, _ in order] == list(range(6))
        assert max(n for _, n in order) == 2
        assert limiter.in_flight == 0

    asyncio.run(go())


def test_a_paused_limiter_lets_single_probes_through_and_an_ended_one_nobody():
    async def go():
        limiter = Limiter(8, 8)
        limiter.pause()
        waiters = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(w.done() for w in waiters)
        limiter.probe()
        await asyncio.sleep(0)
        assert [w.done() for w in waiters] == [True, False, False]
        waiters[1].cancel()
        limiter.end()
        assert await waiters[2] is False
        assert await limiter.acquire() is False

    asyncio.run(go())


def test_the_backoff_has_full_jitter_and_a_ceiling():
    policy = Policy(backoff_first_s=1.0, backoff_max_s=8.0)
    waits = [policy.backoff_s(tries) for tries in range(50) for _ in range(20)]
    assert 0.0 <= min(waits) < 0.5
    assert 6.0 < max(waits) <= 8.0


def test_one_bad_ask_is_no_outage():
    service = Service()
    for now in range(100):
        service.failed("same", error("server_error"), now=float(now), in_flight=0)
    assert not service.down


def test_many_different_asks_in_a_row_are_an_outage_and_a_reply_ends_it():
    service = Service()
    for i in range(7):
        service.failed(str(i), error("server_error"), now=1.0, in_flight=5)
        assert not service.down
    service.failed("7", error("timeout"), now=2.0, in_flight=5)
    assert service.down
    service.replied(now=3.0, seconds=0.1)
    assert not service.down


def test_refused_connections_with_nothing_else_in_flight_are_an_outage():
    service = Service()
    for i in range(3):
        assert not service.down
        service.failed("one", error("connection"), now=float(i), in_flight=0)
    assert service.down


def test_patience_begins_after_the_wait_that_the_service_asked_for():
    service = Service()
    for i in range(3):
        service.failed(str(i), error("rate_limited", retry_after_s=1000.0), now=0.0, in_flight=0)
    assert not service.given_up(now=1500.0, patience_s=600.0)
    assert service.given_up(now=1601.0, patience_s=600.0)


def test_silence_is_measured_against_how_long_replies_take():
    service = Service()
    service.replied(now=0.0, seconds=30.0)
    assert not service.fell_silent(now=290.0, oldest_sent_at=0.0, silence_s=120.0)
    assert not service.fell_silent(now=310.0, oldest_sent_at=200.0, silence_s=120.0)
    assert service.fell_silent(now=310.0, oldest_sent_at=0.0, silence_s=120.0)
    assert service.down


def test_the_first_reply_may_take_longer_and_a_slow_one_does_not_hide_an_outage():
    """A server on a CPU loads its weights first: 300 s for the first reply say little of the next ones."""
    service = Service()
    assert not service.fell_silent(now=500.0, oldest_sent_at=0.0, silence_s=120.0)
    service.replied(now=500.0, seconds=500.0)
    assert not service.fell_silent(now=1030.0, oldest_sent_at=500.0, silence_s=120.0)
    assert service.fell_silent(now=1041.0, oldest_sent_at=500.0, silence_s=120.0)
    never = Service()
    assert never.fell_silent(now=541.0, oldest_sent_at=0.0, silence_s=120.0)
    assert not Service().fell_silent(now=541.0, oldest_sent_at=0.0, silence_s=1800.0)


def test_an_unknown_price_is_not_zero():
    for prices in ({}, {"price_in": 1.0}, {"price_out": 1.0}):
        with pytest.raises(UsageError, match="--price-in and --price-out"):
            Budget(max_cost=1.0, price_in=prices.get("price_in"), price_out=prices.get("price_out"))


def test_what_was_reserved_counts_until_it_is_settled():
    async def go():
        budget = Budget(max_cost=0.001, price_in=1.0, price_out=2.0)
        ask = make_ask()
        first = await budget.reserve(ask)
        assert first is not None
        assert first.tokens_out == 400
        second = asyncio.create_task(budget.reserve(ask))
        await asyncio.sleep(0)
        assert not second.done()
        budget.settle(first, make_reply(ask))
        assert await second is not None
        assert budget.spent == Amount(calls=1, tokens_in=20, tokens_out=10, cost=4e-05)
        assert not budget.exhausted

    asyncio.run(go())


def test_a_call_that_can_never_fit_exhausts_the_budget():
    budget = Budget(max_tokens=100)
    assert asyncio.run(budget.reserve(make_ask())) is None
    assert budget.exhausted
