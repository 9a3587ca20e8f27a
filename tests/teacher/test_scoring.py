"""Scores of continuations: a local model's equal those of one whole pass, whatever stands beside them in the batch."""

import asyncio
import json
import random
from dataclasses import replace

import pytest

from kgkit.records import Ask, Message, Sampling, Subject
from kgkit.settings import read_settings
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.local import LocalTeacher
from kgkit.teacher.local_scoring import Text, read_together
from kgkit.teacher.scoring import plain_text, read_prompt_logprobs, read_scores, scoring_call
from tests.integration.models import smollm2

LETTERS = (" A", " B", " C")


def scored(question: str, continuations: tuple[str, ...]) -> Ask:
    return Ask(
        stage="evaluate",
        prompt="questions.en",
        prompt_version="1",
        messages=(
            Message(role="user", content=question),
            Message(role="assistant", content="Answer:"),
        ),
        schema=None,
        sampling=Sampling(temperature=0.0, max_tokens=0),
        model="m",
        subject=Subject(asset="pump"),
        continuations=continuations,
    )


@pytest.fixture(scope="module")
def model():
    from transformers import AutoModelForCausalLM

    found = AutoModelForCausalLM.from_pretrained(smollm2(), dtype="float32", local_files_only=True)
    return found.eval()


def alone(model, text: Text) -> list[list[float]]:
    import torch

    with torch.inference_mode():
        logits = model(torch.tensor([text.tokens])).logits[0].float().log_softmax(-1)
    places = logits[-len(text.wanted) :]
    return [
        [float(place[one]) for one in some] for place, some in zip(places, text.wanted, strict=True)
    ]


def test_texts_read_together_score_as_each_does_alone(model) -> None:
    """Beginnings of all lengths are shared, some texts are another's beginning, some stand twice."""
    draw = random.Random(7)
    words = [draw.randrange(100, 40_000) for _ in range(90)]
    texts = []
    for shared in (0, 1, 11, 13, 30, 30, 60, 60, 60, 89, 90):
        rest = [draw.randrange(100, 40_000) for _ in range(draw.randrange(3, 20))]
        wanted = [[draw.randrange(40_000) for _ in range(3)] for _ in range(draw.randrange(1, 3))]
        texts += [Text(tokens=words[:shared] + rest, wanted=wanted)] * draw.randrange(1, 3)
    texts.append(Text(tokens=list(words), wanted=[[5]]))
    read_together(model, texts, device="cpu")
    for text in texts:
        for mine, whole in zip(text.found, alone(model, text), strict=True):
            assert mine == pytest.approx(whole, abs=2e-3)


def test_the_local_teacher_scores_letters_and_whole_texts(model, float32) -> None:
    teacher = LocalTeacher(smollm2(), cache_dir=read_settings().cache_dir)
    asks = [
        scored("What is 2 + 2?\nA. 3\nB. 4\nC. 5\n", LETTERS),
        scored("What colour is the sky?\n", (" blue", " bright orange stripes")),
        scored("What is 2 + 3?\nA. 3\nB. 4\nC. 5\n", LETTERS),
        replace(scored("", ("The sky is blue.", "The sky is not blue.")), messages=()),
    ]

    async def go():
        try:
            return await asyncio.gather(*map(teacher.answer, asks))
        finally:
            await teacher.close()

    replies = asyncio.run(go())
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2(), local_files_only=True)
    *chats, plain = zip(asks, replies, strict=True)
    for text, found in zip(plain[0].continuations, json.loads(plain[1].text), strict=True):
        first, *rest = tokenizer(text)["input_ids"]
        whole = alone(model, Text(tokens=[first, *rest[:-1]], wanted=[[one] for one in rest]))
        assert found == pytest.approx([one for (one,) in whole], abs=2e-3)
    for ask, reply in chats:
        chat = [{"role": one.role, "content": one.content} for one in ask.messages]
        before = tokenizer.apply_chat_template(chat, tokenize=False, continue_final_message=True)
        prompt = tokenizer(before, add_special_tokens=False)["input_ids"]
        for continuation, found in zip(ask.continuations, json.loads(reply.text), strict=True):
            tokens = tokenizer(before + continuation, add_special_tokens=False)["input_ids"]
            wanted = [[token] for token in tokens[len(prompt) :]]
            whole = alone(model, Text(tokens=tokens[:-1], wanted=wanted))
            assert found == pytest.approx([one for (one,) in whole], abs=2e-3)
        assert reply.finish_reason == "stop"
        assert reply.tokens_out == 0


def test_continuations_are_part_of_what_an_ask_is(tmp_path) -> None:
    ask, other, none = (scored("?", LETTERS), scored("?", LETTERS[:2]), scored("?", ()))
    assert len({ask.id, other.id, none.id}) == 3
    assert "continuations" not in none.request()
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        from kgkit.records import Failure

        ledger.record([(ask, Failure(ask_id=ask.id, kind="timeout", message="late"))])
        assert ledger.ask(ask.id) == ask


def test_a_base_model_sees_an_answer_below_its_question_and_the_last_one_open() -> None:
    chat = [
        Message(role="user", content="One?\nA. x\n"),
        Message(role="assistant", content="Answer: A"),
        Message(role="user", content="Two?\nA. y\n"),
        Message(role="assistant", content="Answer:"),
    ]
    assert plain_text(chat) == "One?\nA. x\nAnswer: A\n\nTwo?\nA. y\nAnswer:"


@pytest.mark.parametrize(
    ("spelt", "found"),
    [
        (["Answer", ":", " B"], [-3.0]),
        (["Answer", ": B"], None),
        (["Answer", ":", " ", "B"], [-3.0, -4.0]),
        ([" C"], None),
    ],
)
def test_only_tokens_that_spell_the_continuation_are_its_score(spelt, found) -> None:
    tokens = [
        {"7": {"logprob": -float(at + 1), "decoded_token": token}} for at, token in enumerate(spelt)
    ]
    raw = json.dumps({"prompt_logprobs": [None, *tokens]}).encode()
    assert read_prompt_logprobs(raw, " B") == found


def test_a_text_by_itself_is_a_completion_whose_first_token_has_no_score() -> None:
    path, body = scoring_call((), "The sky.", model="m", length_parameter="max_completion_tokens")
    assert (path, body["prompt"], body["prompt_logprobs"]) == ("/completions", "The sky.", 0)
    tokens = [None, {"7": {"logprob": -1.5}}, {"8": {"logprob": -2.0}}]
    raw = json.dumps({"choices": [{"prompt_logprobs": tokens}]}).encode()
    assert read_scores(raw, (), "The sky.") == [-1.5, -2.0]
    for refused in (b"", b'{"choices": []}', b'{"choices": [{"prompt_logprobs": null}]}'):
        assert read_scores(refused, (), "The sky.") is None


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"prompt_logprobs": null}', b'{"prompt_logprobs": [1]}']
)
def test_anything_else_is_no_score(raw) -> None:
    assert read_prompt_logprobs(raw, " B") is None
