"""Accept nothing blindly: what a reply must pass before it may enter the graph. Pure; raises BadReply."""

import json
import re
from collections.abc import Iterable, Mapping

from kgkit.expand.scope import Scope
from kgkit.names import normal_form, plain
from kgkit.records import Ask, Reply
from kgkit.stages import BadReply

MIN_WORDS = 30
"""A knowledge document has at least this many words."""
_ECHO_WORDS = 12
_REFUSAL = re.compile(
    r"^\W*(?:i\W?m sorry|sorry,|i (?:can(?:not|\Wt)|am unable|do not have)|as an? (?:ai|language model)|unfortunately, i)",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")


def usable_text(ask: Ask, reply: Reply) -> str:
    """The reply's text if it is a finished answer of its own: not empty, truncated, refused or echoed."""
    text = reply.text.strip()
    if reply.finish_reason == "no_reference":
        raise BadReply("no reference")
    if not text:
        raise BadReply("empty")
    if _REFUSAL.match(text):
        raise BadReply("refusal", text[:80])
    if reply.finish_reason != "stop":
        raise BadReply("truncated", f"finish reason {reply.finish_reason}")
    if _echoes(text, ask):
        raise BadReply("echo")
    return text


def json_answer(text: str) -> dict[str, object]:
    """The JSON object that `text` is. Raises BadReply."""
    try:
        answer = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadReply("wrong shape", str(error)) from error
    if not isinstance(answer, dict):
        raise BadReply("wrong shape", "not an object")
    return answer


def paragraph(ask: Ask, reply: Reply, scope: Scope, names: Mapping[str, str]) -> str:
    """A knowledge document: a usable text of MIN_WORDS words or more that speaks of `names` and of no other asset.

    `names` maps what the passage is about (asset, sensor, failure mode) to the name it must use.
    """
    text = " ".join(usable_text(ask, reply).split())
    words = _WORD.findall(plain(text))
    if len(words) < MIN_WORDS:
        raise BadReply("too short", f"{len(words)} words, at least {MIN_WORDS} are wanted")
    if _repeats(words):
        raise BadReply("repetitive")
    for what, name in names.items():
        if not _speaks_of(name, words):
            raise BadReply("subject missing", f"{what} {name}")
    _no_other_asset(text, scope)
    return text


def _echoes(text: str, ask: Ask) -> bool:
    """Whether most of the text's word runs stand in the prompt as they are."""
    asked = " ".join(_WORD.findall(plain(ask.messages[-1].content)))
    words = _WORD.findall(plain(text))
    runs = [" ".join(words[i : i + _ECHO_WORDS]) for i in range(0, len(words) - _ECHO_WORDS + 1, 4)]
    return bool(runs) and sum(run in asked for run in runs) > len(runs) / 2


def _repeats(words: list[str]) -> bool:
    """Whether the text goes round in circles: under 60 % of its 6-word runs are distinct."""
    runs = [tuple(words[i : i + 6]) for i in range(len(words) - 5)]
    return len(set(runs)) < 0.6 * len(runs)


def _speaks_of(name: str, words: Iterable[str]) -> bool:
    """Whether at least half of the name's words (in singular) stand in the text."""
    said = {normal_form(word) for word in words}
    wanted = {normal_form(word) for word in _WORD.findall(plain(name)) if len(word) > 2} or {
        plain(name)
    }
    return 2 * len(wanted & said) >= len(wanted)


def _no_other_asset(text: str, scope: Scope) -> None:
    """A held-out asset may not be named at all; another asset not as often as the passage's own."""
    found = scope.held_out_pattern.search(text)
    if found:
        raise BadReply("other asset", f"names {found.group(0)}, which is held out")
    own = len(scope.own_pattern.findall(text))
    counts: dict[str, int] = {}
    for name in scope.asset_pattern.findall(text):
        if scope.own_pattern.fullmatch(name):
            continue
        counts[normal_form(name)] = counts.get(normal_form(name), 0) + 1
    for name, count in sorted(counts.items()):
        if count > max(own, 1):
            raise BadReply("other asset", f"speaks of {name} more than of {scope.name}")
