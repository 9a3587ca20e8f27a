"""How likely a text is as the end of the assistant's message: what a server is asked for that, and what a model reads.

A score is a sum over the tokens of the continuation, given all that stands before it.
"""

import json
from collections.abc import Sequence

from kgkit.records import Message


def plain_text(messages: Sequence[Message]) -> str:
    """How a base model, which has no chat template, sees messages: their texts and a blank line after each.

    The assistant's words stand on the line below what they answer; its last ones are left open, for what continues them.
    """
    texts = []
    for at, message in enumerate(messages):
        answered = at + 1 < len(messages) and messages[at + 1].role == "assistant"
        last = at + 1 == len(messages) and message.role == "assistant"
        texts.append(message.content.strip() + ("" if last else "\n" if answered else "\n\n"))
    return "".join(texts)


def scoring_call(
    messages: Sequence[Message], continuation: str, *, model: str, length_parameter: str
) -> tuple[str, dict[str, object]]:
    """Path and body of the call that has `continuation` scored as the end of the assistant's last message, or as a text by itself (vLLM's way)."""
    scored = {"model": model, "temperature": 0.0, "prompt_logprobs": 0}
    if not messages:
        return "/completions", {**scored, "prompt": continuation, "max_tokens": 1}
    *before, last = messages
    chat = [{"role": one.role, "content": one.content} for one in before]
    chat.append({"role": "assistant", "content": last.content + continuation})
    return "/chat/completions", {
        **scored,
        "messages": chat,
        length_parameter: 1,
        "add_generation_prompt": False,
        "continue_final_message": True,
    }


def read_scores(raw: bytes, messages: Sequence[Message], continuation: str) -> list[float] | None:
    """What the server says to such a call; None where it gives no log probabilities."""
    if messages:
        return read_prompt_logprobs(raw, continuation)
    try:
        first, *tokens = json.loads(raw)["choices"][0]["prompt_logprobs"]
        found = [next(iter(token.values()))["logprob"] for token in tokens]
        return [round(float(one), 6) for one in found] if first is None and found else None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, StopIteration):
        return None


def read_prompt_logprobs(raw: bytes, continuation: str) -> list[float] | None:
    """Log probabilities of the prompt's last tokens, those that spell `continuation`; None where the server gives none."""
    found: list[float] = []
    spelt = ""
    try:
        for token in reversed(json.loads(raw)["prompt_logprobs"]):
            (one,) = token.values()
            found.insert(0, round(float(one["logprob"]), 6))
            spelt = one["decoded_token"] + spelt
            if len(spelt) >= len(continuation):
                return found if spelt == continuation else None
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return None
