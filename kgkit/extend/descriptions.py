"""Descriptions: one sentence for each term of an asset, for queries of an embedder to carry along (embedding paper, section 3.2).

They rest on the tables, not on documents, and are in no corpus. Assets share the asks about terms that they share.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from kgkit.expand import checks
from kgkit.expand.passage import Text, passage
from kgkit.expand.scope import Scope, names_pattern
from kgkit.extend.terms import IN_WORDS, Term, terms_of
from kgkit.graph import written
from kgkit.graph.store import GraphStore
from kgkit.records import Ask, EdgeKey, NodeKey, Reply, Subgraph
from kgkit.stages import BadReply, Profile, Settled, make_ask, union

PROMPT = "describe-term"
KIND = "description"
FEWEST_WORDS, MOST_WORDS = 6, 60
SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f][\"')\]\u201d\u2019]*$")
NEXT_SENTENCE = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)(?<!\bvs)(?<!\betc)(?<!\bNo)(?<!\bapprox)(?<!\bincl)[.!?]"
    r"[\"')\]\u201d\u2019]*\s+(?=[\"'(\u201c\u2018]?[A-Z0-9])|[\u3002\uff01\uff1f](?=.)"
)
"""Where another sentence begins."""


class DescribeTerms:
    """The stage for one asset; of a held-out one where its scope says so."""

    name = "descriptions"

    def __init__(self, scope: Scope, profile: Profile) -> None:
        self.held_out = scope.held_out_pattern
        self._scope = scope
        self._freely = replace(scope, asset_pattern=names_pattern([]))
        self._profile = profile
        self._terms: dict[str, Term] = {}

    def plan(self, graph: GraphStore) -> Iterator[Ask]:
        """One ask for each term."""
        self._terms = {}
        for term in terms_of(graph, self._scope):
            ask = make_ask(
                stage=self.name,
                prompt=PROMPT,
                variables={
                    "term": term.name,
                    "kind": IN_WORDS[term.kind],
                    "within": term.within,
                    "meaning": term.meaning,
                },
                subject=term.subject,
                profile=self._profile,
            )
            self._terms[_asked(ask)] = term
            yield ask

    def parse(self, ask: Ask, reply: Reply) -> Subgraph:
        """The passage about the term."""
        term = self._terms[_asked(ask)]
        made = passage(
            Text(
                kind=KIND,
                name=term.name,
                text=self._sentence(ask, reply, term),
                asset=term.subject.asset,
                part=term.subject.parent,
                sensor=term.subject.sensor,
                failure_mode=term.subject.failure_mode,
                about=(term.node,),
            ),
            ask=ask,
            teacher=reply.model,
            scope=self._scope.key,
        )
        return _for_evaluation(made) if self._scope.held_out else made

    def _sentence(self, ask: Ask, reply: Reply, term: Term) -> str:
        text = " ".join(checks.without_introduction(checks.usable_text(ask, reply)).split())
        if found := NEXT_SENTENCE.search(text):
            raise BadReply("wrong shape", f"more than one sentence: {text[found.end() :][:60]!r}")
        if not SENTENCE_END.search(text):
            raise BadReply("truncated", "the sentence has no end")
        if (words := len(text.split())) > MOST_WORDS:
            raise BadReply("wrong shape", f"{words} words, at most {MOST_WORDS} are wanted")
        checks.speaks(text, self._freely, {term.kind: term.name}, min_words=FEWEST_WORDS)
        return text

    def settle(self, accepted: list[tuple[Ask, Subgraph]]) -> Settled:
        """All of them: two terms may be said to be the same."""
        return Settled(subgraph=union(subgraph for _, subgraph in accepted))

    def written(self, graph: GraphStore) -> tuple[list[NodeKey], list[EdgeKey]]:
        """The descriptions of this asset."""
        return written.derived_passages(graph, self._scope.asset, [KIND]), []


def _asked(ask: Ask) -> str:
    """What a first and a second try have in common."""
    return "\n".join(message.content for message in ask.messages)


def _for_evaluation(subgraph: Subgraph) -> Subgraph:
    """What is said of a held-out asset reaches no corpus."""
    role = {"role": "evaluation"}
    return Subgraph(
        nodes=tuple(replace(one, properties={**one.properties, **role}) for one in subgraph.nodes),
        edges=tuple(replace(one, properties={**one.properties, **role}) for one in subgraph.edges),
    )
