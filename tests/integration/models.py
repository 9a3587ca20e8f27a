"""Real and tiny models for tests: SmolLM2 from the user's cache, and random ones made on the spot.

Where a real part is missing a test is skipped with the reason; under CI=true it fails.
"""

import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from kgkit.errors import KgkitError
from kgkit.records import Ask, Message, Sampling, Subject
from kgkit.settings import read_settings
from kgkit.teacher.pull import pull

PUMP = Subject(asset="pump")
WORDS = ("pump", "seal", "leak", "wear", "vibration", "bearing", "motor", "fan", "yes", "no")


def missing(reason: str) -> NoReturn:
    """Skip for `reason`, or fail where skipping is not allowed."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def need_local() -> None:
    """Skip unless the extra `local` is installed."""
    if importlib.util.find_spec("torch") is None:
        missing('the extra is not installed: pip install "kgkit[local]"')


def smollm2() -> Path:
    """The directory of SmolLM2-135M-Instruct, fetched into the user's cache on first use."""
    need_local()
    try:
        return pull("smollm2", cache_dir=read_settings().cache_dir)
    except KgkitError as error:
        missing(str(error))


def ask(
    text: str,
    *,
    model: str,
    schema: dict[str, object] | None = None,
    max_tokens: int = 24,
    temperature: float = 0.0,
    number: int = 0,
    top_logprobs: int = 0,
    system: str = "",
) -> Ask:
    """An ask of one user message, greedy unless a temperature is given."""
    messages = [Message(role="system", content=system)] if system else []
    return Ask(
        stage="test",
        prompt="test",
        prompt_version="1",
        messages=(*messages, Message(role="user", content=text)),
        schema=schema,
        sampling=Sampling(
            temperature=temperature,
            max_tokens=max_tokens,
            number=number,
            top_logprobs=top_logprobs,
        ),
        model=model,
        subject=PUMP,
    )


def tiny_model(directory: Path, *, template: str = "", context: int = 64) -> Path:
    """A random Llama of two layers over WORDS, saved in `directory`. It never learnt to stop."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    vocabulary = {word: at for at, word in enumerate(("<unk>", "<pad>", "<end>", *WORDS))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", eos_token="<end>"
    )
    if template:
        wrapped.chat_template = template
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        eos_token_id=2,
        pad_token_id=1,
        bos_token_id=None,
        initializer_range=0.4,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(directory)
    wrapped.save_pretrained(directory)
    return directory


def bare_directory(directory: Path, files: Sequence[str], config: object = None) -> Path:
    """A model directory in name only: empty files and a config, for what is refused unread."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in files:
        (directory / name).write_bytes(b"")
    if config is not None:
        (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return directory
