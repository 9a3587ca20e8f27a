"""Votes on a pair become one edge."""

from dataclasses import replace

import pytest

from kgkit.expand.link import LinkRelevance
from kgkit.records import Ask, Message, Reply, Sampling, Subject
from kgkit.stages import BadReply
from tests.scopes import SCOPE


class _Profile:
    name = "m"
    structured = False
    logprobs = False

    def identity(self, subject: Subject) -> str:
        return "m"


STAGE = LinkRelevance(SCOPE, _Profile())
ASK = Ask(
    stage="link",
    prompt="link-relevance",
    prompt_version="1",
    messages=(Message(role="user", content="Does vibration show unbalance of the pump?"),),
    schema=None,
    sampling=Sampling(temperature=0.7, max_tokens=99),
    model="m",
    subject=Subject(asset="pump", sensor="vibration", failure_mode="unbalance"),
)
SAID = {"Yes": "Yes\nThe rotor shakes at speed.", "No": "No\nNothing would change in it."}


def reply(ask: Ask, text: str) -> Reply:
    return Reply(
        ask_id=ask.id,
        model="m",
        text=text,
        finish_reason="stop",
        tokens_in=1,
        tokens_out=1,
        seconds=0.0,
    )


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        (["Yes"], "Yes"),
        (["No"], "No"),
        (["Yes", "No", "Yes"], "Yes"),
        (["Yes", "No"], "No"),
        (["No", "Yes", "Yes", "No"], "No"),
    ],
)
def test_the_majority_decides_and_a_tie_is_no(votes: list[str], label: str) -> None:
    asks = [
        replace(ASK, sampling=replace(ASK.sampling, number=number)) for number in range(len(votes))
    ]
    accepted = [
        (ask, STAGE.parse(ask, reply(ask, SAID[vote])))
        for ask, vote in zip(asks, votes, strict=True)
    ]
    (edge,) = STAGE.settle(accepted).subgraph.edges
    kept = {name: edge.properties[name] for name in ("label", "votes_yes", "votes_no", "ask")}
    assert kept == {
        "label": label,
        "votes_yes": votes.count("Yes"),
        "votes_no": votes.count("No"),
        "ask": asks[votes.index(label)].id,
    }


def test_a_reason_may_not_name_a_held_out_asset() -> None:
    with pytest.raises(BadReply, match="other asset: names compressors, which is held out"):
        STAGE.parse(ASK, reply(ASK, "Yes\nThe rotor shakes as it does in compressors."))
