"""The local teacher on tiny random models: what goes wrong stays with the ask that it belongs to."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kgkit.errors import KgkitError
from kgkit.records import Message
from kgkit.teacher.local import LocalTeacher
from kgkit.teacher.protocol import TeacherError
from kgkit.teacher.scoring import plain_text
from tests.integration.models import PUMP, WORDS, ask, bare_directory, need_local, tiny_model

pytestmark = pytest.mark.local

NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}"
    "{% endif %}{{ m.content }} {% endfor %}"
)
POISONED = "{{ ''.__class__.__mro__[1].__subclasses__() }}"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    need_local()
    return tiny_model(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture
def run(tmp_path):
    """Ask the model of a directory for everything at once; results and errors in the asks' order."""

    def run(directory, *asks):
        async def go() -> list[Any]:
            teacher = LocalTeacher(directory, cache_dir=tmp_path)
            try:
                calls = (teacher.answer(one) for one in asks)
                return await asyncio.gather(*calls, return_exceptions=True)
            finally:
                await teacher.close()

        return asyncio.run(go())

    return run


def test_left_padding_changes_nothing(base, run, float32):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    texts = [" ".join(WORDS[: 1 + at % 9]) for at in range(40)]
    got = run(base, *(ask(text, model=str(at), max_tokens=6) for at, text in enumerate(texts)))

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(base)
    for text, reply in zip(texts, got, strict=True):
        prompt = tokenizer(f"{text}\n\n", return_tensors="pt")
        tokens = model.generate(**prompt, max_new_tokens=6, do_sample=False)[0]
        wanted = tokenizer.decode(tokens[prompt["input_ids"].shape[1] :], skip_special_tokens=True)
        assert reply.text == wanted


def test_a_base_model_sees_the_plain_rendering():
    messages = [
        Message(role="system", content="Be brief. "),
        Message(role="user", content="Why?\n"),
    ]

    assert plain_text(messages) == "Be brief.\n\nWhy?\n\n"


def test_a_prompt_beyond_the_context_is_refused_and_the_others_are_answered(base, run):
    long = ask("pump " * 60, model="m", max_tokens=8)
    short = ask("pump", model="m", max_tokens=8)
    refused, answered = run(base, long, short)

    assert (refused.kind, refused.retryable, refused.fatal) == ("bad_request", False, False)
    assert str(refused) == (
        "prompt of 60 tokens and answer of up to 8 do not fit the context of 64"
    )
    assert answered.ask_id == short.id


def test_messages_that_the_template_refuses_fail_alone(tmp_path, run):
    need_local()
    directory = tiny_model(tmp_path / "chat", template=NO_SYSTEM)
    refused, answered = run(
        directory,
        ask("pump", model="m", system="seal", max_tokens=2),
        ask("pump", model="m", max_tokens=2),
    )

    assert (refused.kind, refused.retryable) == ("bad_request", False)
    assert "no system role" in str(refused)
    assert answered.tokens_in == 1


def test_a_poisoned_chat_template_is_refused(tmp_path, run):
    need_local()
    directory = tiny_model(tmp_path / "poisoned", template=POISONED)
    (refused,) = run(directory, ask("pump", model="m"))

    assert isinstance(refused, KgkitError)
    assert "SecurityError" in str(refused)


def test_weights_that_do_not_load_are_one_clear_error(base, tmp_path, run):
    directory = shutil.copytree(base, tmp_path / "broken")
    (directory / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{broken}")
    first, second = run(directory, ask("pump", model="a"), ask("seal", model="b"))

    assert isinstance(first, KgkitError)
    assert isinstance(second, KgkitError)
    assert str(first).startswith(f"{directory}: the model does not load (")
    assert "\n" not in str(first)


def test_a_model_that_writes_no_text_is_refused(tmp_path):
    need_local()
    directory = bare_directory(
        tmp_path / "bert", ["model.safetensors"], {"architectures": ["BertModel"]}
    )

    with pytest.raises(KgkitError, match="a BertModel writes no text"):
        LocalTeacher(directory, cache_dir=tmp_path)


def test_an_ask_that_is_given_up_holds_up_no_other(base, tmp_path):
    async def go() -> tuple[bool, int]:
        teacher = LocalTeacher(base, cache_dir=tmp_path)
        given_up = asyncio.create_task(teacher.answer(ask("pump", model="m", max_tokens=60)))
        await asyncio.sleep(0)
        given_up.cancel()
        reply = await teacher.answer(ask("seal", model="m", max_tokens=2))
        await teacher.close()
        return given_up.cancelled(), reply.tokens_out

    assert asyncio.run(go()) == (True, 2)


def test_after_closing_nothing_is_answered(base, tmp_path):
    async def go() -> None:
        teacher = LocalTeacher(base, cache_dir=tmp_path)
        await teacher.answer(ask("seal", model="m", max_tokens=2))
        await teacher.close()
        with pytest.raises(TeacherError, match="was closed"):
            await teacher.answer(ask("pump", model="m"))

    asyncio.run(go())


def test_closing_ends_what_is_on_its_way(base, tmp_path):
    async def go() -> list[Any]:
        teacher = LocalTeacher(base, cache_dir=tmp_path)
        calls = [
            asyncio.create_task(teacher.answer(ask(f"pump {at}", model="m", max_tokens=50)))
            for at in range(80)
        ]
        await asyncio.sleep(0)
        await teacher.close()
        return await asyncio.gather(*calls, return_exceptions=True)

    ends = asyncio.run(go())
    assert len(ends) == 80
    assert all(getattr(end, "kind", "answered") in ("connection", "answered") for end in ends)


def test_identity_follows_what_the_model_is_read_from(base, tmp_path):
    def identity(directory: Path) -> str:
        return LocalTeacher(directory, cache_dir=tmp_path).identity(PUMP)

    copy = shutil.copytree(base, tmp_path / "copy" / "base")
    assert identity(copy) == identity(base)
    (copy / "README.md").write_text("words", encoding="utf-8")
    (copy / "kgkit-source.json").write_text("{}", encoding="utf-8")
    assert identity(copy) == identity(base)
    (copy / "chat_template.jinja").write_text("{{ messages[0].content }}", encoding="utf-8")
    assert identity(copy) != identity(base)
    assert identity(copy).startswith("base@sha256:")


def test_without_the_extra_the_error_names_it(base, tmp_path, monkeypatch):
    monkeypatch.setattr("kgkit.teacher.pull.importlib.util.find_spec", lambda name: None)

    with pytest.raises(KgkitError, match=r'pip install "kgkit\[local\]"$'):
        LocalTeacher(base, cache_dir=tmp_path)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_an_adapter_answers_as_the_model_that_it_makes(base, run, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = get_peft_model(model, config)
    adapted.save_pretrained(tmp_path / "lora")
    merged = adapted.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / file, tmp_path / "merged" / file)
    said = {
        name: asyncio.run(scored(LocalTeacher(path, cache_dir=tmp_path)))
        for name, path in (
            ("lora", tmp_path / "lora"),
            ("merged", tmp_path / "merged"),
            ("base", base),
        )
    }
    assert said["lora"] == pytest.approx(said["merged"], abs=0.05)
    assert said["lora"] != pytest.approx(said["base"], abs=0.05)


async def scored(teacher):
    try:
        one = replace(
            ask("pump seal", model="m"),
            messages=(Message(role="assistant", content="pump"),),
            continuations=(" seal", " leak", " wear"),
        )
        return [score for (score,) in json.loads((await teacher.answer(one)).text)]
    finally:
        await teacher.close()


def test_an_adapter_names_the_model_that_it_lacks(base, tmp_path):
    lora = tmp_path / "lora"
    lora.mkdir()
    (lora / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "gone/model"}))
    (lora / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(KgkitError, match="made for base_model_name_or_path gone/model"):
        LocalTeacher(lora, cache_dir=tmp_path)
    assert LocalTeacher(base, cache_dir=tmp_path).base == base.resolve()
