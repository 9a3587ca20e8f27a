"""What a reply of Phase II must keep of its document: names, verdict, shape. Pure; raises BadReply."""

import re

from kgkit.expand import checks
from kgkit.extend.documents import Document
from kgkit.names import plain
from kgkit.records import Ask, Reply
from kgkit.stages import BadReply

_SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]?")
_DETECTS = (
    r"(?:detect|indicat|reveal|show|help|monitor|inform|relevan|useful|diagnos|respond|signal|sign\b|chang|react|"
    r"recogni|tell|reflect|evidence|informative|suitable|notice)"
)
_NEGATION = (
    r"(?:\bnot\b|n't\b|\bcannot\b|\bnever\b|\bneither\b|\bnor\b|\bno\b|\blittle\b|\bunable\b|\bfails? to\b|"
    r"\bun(?:changed|informative|affected|related|suitable)\b|\birrelevant\b|\buninformative\b)"
)
_DENIES = re.compile(
    rf"{_NEGATION}(?:\W+\w+){{0,6}}?\W+\w*{_DETECTS}|\b(?:unchanged|uninformative|unaffected|irrelevant|unrelated)\b",
    re.IGNORECASE,
)
_CLAIMS = re.compile(_DETECTS, re.IGNORECASE)
_QUESTION = re.compile(r"^\W*question\W*\d*\W*:", re.IGNORECASE | re.MULTILINE)
_ANSWER = re.compile(r"^\W*answer\W*\d*\W*:", re.IGNORECASE | re.MULTILINE)


def variables_of(document: Document) -> dict[str, object]:
    """What every prompt about a document may name."""
    return {
        "document": document.text,
        "asset": document.names["asset"],
        "sensor": document.names.get("sensor", ""),
        "failure_mode": document.names.get("failure mode", ""),
        "verdict": document.verdict or "",
    }


def rephrased(ask: Ask, reply: Reply, document: Document) -> str:
    """A rephrase that keeps asset, sensor, failure mode and verdict of its document."""
    if ask.prompt == "rephrase-qa":
        text = _conversation(checks.usable_text(ask, reply))
        checks.speaks(text, document.scope, document.names)
    else:
        text = checks.paragraph(ask, reply, document.scope, document.names)
    keeps_verdict(text, document)
    return text


def _conversation(text: str) -> str:
    """Lines of questions and answers in turn. Raises BadReply."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    clean = "\n".join(lines)
    questions, answers = len(_QUESTION.findall(clean)), len(_ANSWER.findall(clean))
    if not questions or questions != answers or not _QUESTION.match(clean):
        raise BadReply("wrong shape", "wants lines `Question: ...` and `Answer: ...` in turn")
    return clean


def keeps_verdict(text: str, document: Document) -> None:
    """Raise BadReply if the text says Yes where the document says No, or the other way round.

    The first sentence that claims anything about detection decides; a No that is no longer said counts as changed.
    """
    if document.verdict is None:
        return
    said = None
    for sentence in _SENTENCE.findall(plain(text)):
        if sentence.strip().endswith("?"):
            continue
        if _DENIES.search(sentence):
            said = "No"
            break
        if _CLAIMS.search(sentence):
            said = "Yes"
            break
    if said != document.verdict and not (said is None and document.verdict == "Yes"):
        raise BadReply("verdict changed", f"the document says {document.verdict}")
