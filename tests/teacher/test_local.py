"""The local teacher on the real SmolLM2-135M-Instruct: what it says is the model's own, batched or not."""

import asyncio
import math

import pytest

from kgkit.records import Reply
from kgkit.settings import read_settings
from kgkit.teacher.local import LocalTeacher
from tests.integration.models import PUMP, ask, smollm2

pytestmark = pytest.mark.local

QUESTIONS = (
    "What is a pump?",
    "Name one sensor that is used on a centrifugal compressor, and say in a few words what it measures.",
    "Reply with the single word: Yes",
)


@pytest.fixture(scope="module")
def teacher(float32):
    teacher = LocalTeacher(smollm2(), cache_dir=read_settings().cache_dir)
    yield teacher
    asyncio.run(teacher.close())


def replies(teacher, *asks) -> list[Reply]:
    async def all_at_once() -> list[Reply]:
        return list(await asyncio.gather(*(teacher.answer(one) for one in asks)))

    return asyncio.run(all_at_once())


def test_a_question_is_answered_through_the_chat_template(teacher):
    one = ask("What is the capital of France?", model=teacher.identity(PUMP), max_tokens=32)
    (reply,) = replies(teacher, one)

    assert (reply.ask_id, reply.model) == (one.id, one.model)
    assert reply.text == "The capital of France is Paris."
    assert reply.finish_reason == "stop"
    assert (reply.tokens_in, reply.tokens_out) == (37, 8)


def test_an_answer_that_is_cut_off_says_so(teacher):
    (reply,) = replies(teacher, ask("What is a pump?", model="m", max_tokens=3))

    assert (reply.finish_reason, reply.tokens_out) == ("length", 3)


def test_in_a_batch_as_alone(teacher):
    asks = [ask(question, model="m", max_tokens=8) for question in QUESTIONS]
    together = [
        (reply.text, reply.tokens_in, reply.tokens_out) for reply in replies(teacher, *asks)
    ]
    alone = [replies(teacher, one)[0] for one in asks]

    assert together == [(reply.text, reply.tokens_in, reply.tokens_out) for reply in alone]


def test_samples_differ_by_their_number_and_repeat_exactly(teacher):
    asks = [ask(QUESTIONS[0], model="m", max_tokens=8, temperature=0.9, number=n) for n in (0, 1)]
    first = [reply.text for reply in replies(teacher, *asks)]

    assert first[0] != first[1]
    assert [reply.text for reply in replies(teacher, *asks)] == first


def test_logprobs_are_those_of_the_tokens_that_were_written(teacher):
    (reply,) = replies(teacher, ask("What is the capital of France?", model="m", top_logprobs=3))

    assert "".join(one.token for one in reply.logprobs) == reply.text + "<|im_end|>"
    assert len(reply.logprobs) == reply.tokens_out
    for one in reply.logprobs:
        assert one.top[0][0] == one.token
        chances = [math.exp(value) for _, value in one.top]
        assert chances == sorted(chances, reverse=True)
        assert 0.0 < sum(chances) <= 1.0 + 1e-6
