"""What every teacher must do; a new one is added to `teachers`."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kgkit.records import Ask, Reply, Subject
from kgkit.teacher.endpoint import EndpointFacts, EndpointTeacher
from kgkit.teacher.protocol import Teacher
from tests.fault_server import FaultServer
from tests.teacher.parts import ScriptedTeacher, make_ask


@contextmanager
def scripted() -> Iterator[Teacher]:
    yield ScriptedTeacher()


@contextmanager
def endpoint() -> Iterator[Teacher]:
    with FaultServer() as server:
        yield EndpointTeacher(server.url, EndpointFacts(model="stub", logprobs=True))


teachers = pytest.mark.parametrize("opened", [scripted, endpoint])


def ask_all(teacher: Teacher, asks: list[Ask]) -> list[Reply | BaseException]:
    async def go() -> list[Reply | BaseException]:
        try:
            return list(await asyncio.gather(*map(teacher.answer, asks), return_exceptions=True))
        finally:
            await teacher.close()

    return asyncio.run(go())


@teachers
def test_replies_belong_to_their_asks_however_many_are_in_flight(opened: Callable):  # type: ignore[type-arg]
    asks = [make_ask(i) for i in range(40)]
    with opened() as teacher:
        replies = ask_all(teacher, asks)
    for ask, reply in zip(asks, replies, strict=True):
        assert isinstance(reply, Reply)
        assert reply.ask_id == ask.id
        assert reply.text.strip()
        assert reply.tokens_in > 0
        assert reply.tokens_out > 0
        assert reply.seconds >= 0
        assert reply.finish_reason in ("stop", "length")


@teachers
def test_a_teacher_is_described_by_plain_facts(opened: Callable):  # type: ignore[type-arg]
    with opened() as teacher:
        assert teacher.name
        assert isinstance(teacher.structured, bool)
        assert isinstance(teacher.logprobs, bool)
        assert teacher.concurrency >= 1
        subject = Subject(asset="pump")
        assert teacher.identity(subject) == teacher.identity(subject) == make_ask().model
        ask_all(teacher, [])
