import asyncio

from kgkit.records import Ask, Message, Reply, Sampling, Subject
from kgkit.teacher.budget import Budget

ASK = Ask(
    stage="s",
    prompt="p",
    prompt_version="1",
    messages=(Message(role="user", content="How?"),),
    schema=None,
    sampling=Sampling(temperature=0.0, max_tokens=9),
    model="m",
    subject=Subject(asset="pump"),
)
REPLY = Reply(
    ask_id=ASK.id,
    model="m",
    text="So.",
    finish_reason="stop",
    tokens_in=1,
    tokens_out=1,
    seconds=0.0,
)


def test_exactly_as_many_calls_are_let_through_as_were_allowed() -> None:
    async def calls(budget: Budget) -> int:
        done = 0
        while (reserved := await budget.reserve(ASK)) is not None:
            budget.settle(reserved, REPLY)
            done += 1
        return done

    assert asyncio.run(calls(Budget(max_calls=3))) == 3
