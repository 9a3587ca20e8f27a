"""Check a row of a filled-in review: what it decides, about what, and on whose word. Pure."""

import json
from collections.abc import Mapping
from typing import Literal, cast

Verdict = Literal["accept", "reject", "edit"]
LAYOUT = "review"
HOW_TO = "how to fill in"
"""The sheet of a review that explains it; it holds no table."""
WORDS: tuple[Verdict, ...] = ("accept", "reject", "edit")
KEYS = {
    "relevance": ("asset", "sensor", "sensor_name", "failure_mode", "failure_mode_name", "label"),
    "sensor": ("asset", "label", "node", "sensor", "sensor_name"),
    "passage": ("asset", "part", "sensor", "failure_mode", "kind", "name", "question"),
}
"""What the id of a row says, by what the row is about. All are texts, empty where they do not apply."""


def read_id(text: str) -> dict[str, str] | None:
    """What the hidden id column says, with `of`; None if it was changed."""
    try:
        said = json.loads(text)
    except ValueError:
        return None
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        return None
    wanted = KEYS.get(str(said.get("of")))
    return cast("dict[str, str]", said) if wanted and {*wanted, "of"} == said.keys() else None


def fault(row: Mapping[str, str]) -> tuple[str, str] | None:
    """The field and the reason why a decided row (fields of the layout `review`) cannot be taken; None if it can."""
    id_ = read_id(row.get("review_id", ""))
    if id_ is None:
        return "review_id", "the hidden id column was changed; export the review again"
    word = row["decision"].casefold()
    if word not in WORDS:
        return "decision", f"{row['decision'][:40]!r} is no decision; write accept, reject or edit"
    if not row.get("expert"):
        return "expert", "a decision needs the expert's name"
    label = row.get("review_label", "")
    if id_["of"] == "relevance" and word == "edit" and label not in ("Yes", "No"):
        return "review_label", f"{label[:40]!r} is no label; write Yes or No"
    if id_["of"] == "relevance" and word == "accept" and label != id_["label"]:
        return "decision", f"accepts {id_['label']}, but the label says {label}; write edit"
    if id_["of"] == "sensor" and word == "edit":
        return "decision", "a sensor is accepted or rejected; to add another one, load a table"
    if id_["of"] == "passage" and word != "reject" and not row.get("review_text"):
        return "review_text", "there is no text; write one, or reject the passage"
    return None
