"""A document to test with, and asks about it without a graph."""

from typing import Literal

from kgkit.extend.documents import Document
from kgkit.records import Ask, Message, Reply, Sampling, Subject
from tests.scopes import SCOPE

TEXT = (
    "On the pump, vibration helps to detect bearing damage. When a rolling element or a raceway of the bearing is spalled, "
    "each passage causes a small impact, so that the amplitude rises at 4 bearing frequencies. An engineer mounts an "
    "accelerometer on the bearing housing and watches the trend over weeks. Oil debris responds to the same failure mode."
)


def document(verdict: Literal["Yes", "No"] | None = "Yes", text: str = TEXT) -> Document:
    return Document(
        id="d",
        text=text,
        scope=SCOPE,
        sensor="vibration",
        failure_mode="bearing-damage",
        names={"asset": "pump", "sensor": "vibration", "failure mode": "bearing damage"},
        verdict=verdict,
    )


def ask(prompt: str, *, structured: bool = False, user: str = TEXT) -> Ask:
    return Ask(
        stage="s",
        prompt=prompt,
        prompt_version="1",
        messages=(Message(role="system", content=""), Message(role="user", content=user)),
        schema={} if structured else None,
        sampling=Sampling(temperature=0.0, max_tokens=9),
        model="m",
        subject=Subject(
            asset="pump", sensor="vibration", failure_mode="bearing-damage", parent="d"
        ),
    )


def reply(text: str, finish_reason: str = "stop") -> Reply:
    return Reply(
        ask_id="",
        model="m",
        text=text,
        finish_reason=finish_reason,
        tokens_in=1,
        tokens_out=1,
        seconds=0.0,
    )
