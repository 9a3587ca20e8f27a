"""A teacher's further ways to put a task's instruction, which an embedder may be trained under: asked for, checked, kept in a file.

The prompt shows our own paraphrases alone and never what a teacher said before, so that the same command asks the same: the file can
be made again from the ledger.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, RootModel

from kgkit import content
from kgkit.expand import checks
from kgkit.expand.scope import Assets
from kgkit.extend.descriptions import NEXT_SENTENCE, SENTENCE_END
from kgkit.names import plain, word_forms
from kgkit.records import Ask, Reply, Subgraph, Subject
from kgkit.retrieval.tasks import Task
from kgkit.stages import BadReply, Profile, Settled, make_ask
from kgkit.workspace import write_atomically

FILE = "paraphrases.yaml"
"""In the workspace."""
PROMPT = "paraphrase-instruction"
FEWEST_WORDS, MOST_WORDS = 4, 30
LeftOut = Literal[
    "marks of a prompt",
    "too short",
    "too long",
    "several sentences",
    "no end",
    "names an asset",
    "known",
    "of the prompt",
    "of something else",
    "twice",
    "more than asked for",
]
"""Why a line of a reply is not taken."""
_HEAD = "# Instructions of retrieval tasks in a teacher's words: `kgkit teacher paraphrase`. A file that was deleted is made again from the ledger.\n"
_ITEM = re.compile(r"^\s*(?:(?:\(?\d{1,3}[.):]\s*|[-*\u2022\u2013]\s+))+(?=\S)")
_QUOTES = "\"'`*\u201c\u201d\u2018\u2019 "
_EVERYWHERE = frozenset(
    word_forms(
        "about after all among and are before belong can does each every find for from give given has have here how into its list name named not one show "
        "tell than that the their them there these they this those under use used what when where which with would you"
    ).split()
)
"""Words that say nothing of a task."""
_OF_A_PROMPT = re.compile(r"\b(?:query|instruct)\s*:", re.IGNORECASE)


class Paraphrase(BaseModel):
    """One paraphrase, whose it is, and the ask that brought it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    teacher: str
    ask: str


class _File(RootModel[dict[str, list[Paraphrase]]]):
    pass


class ParaphraseInstruction:
    """The sub-task for one retrieval task: one ask. `found` and `left_out`: what its replies brought, and the lines that were not taken."""

    def __init__(self, task: Task, profile: Profile, assets: Assets, *, wanted: int) -> None:
        self.task = task
        self.ask = make_ask(
            stage="paraphrases",
            prompt=PROMPT,
            variables={
                "instruction": task.instruction,
                "shown": ", ".join(task.fields.values()),
                "ranked": task.output_tag,
                "known": task.paraphrases,
                "count": wanted,
            },
            subject=Subject(asset=""),
            profile=profile,
        )
        self.found: list[Paraphrase] = []
        self.left_out: Counter[str] = Counter()
        self._assets = assets
        self._wanted = wanted

    @property
    def names_held_out(self) -> bool:
        """Whether the prompt would name a held-out asset, as a task of one's own may."""
        held_out = self._assets.held_out_pattern
        return any(held_out.search(message.content) for message in self.ask.messages)

    def parse(self, ask: Ask, reply: Reply) -> Subgraph:
        """Nothing for the graph; the lines that can be used go to `found`. Raises BadReply where there is none."""
        text = checks.usable_text(ask, reply)
        lines = _from_json(text) if ask.schema is not None else _from_list(text)
        found, left_out = usable(
            lines,
            self.task,
            self._assets,
            prompt=ask.messages[-1].content,
            most=self._wanted,
        )
        self.left_out.update(left_out)
        if not found:
            raise BadReply("wrong shape", "no line is a paraphrase that can be used")
        self.found = [Paraphrase(text=one, teacher=reply.model, ask=ask.id) for one in found]
        return Subgraph()

    def settle(self, accepted: list[tuple[Ask, Subgraph]]) -> Settled:  # noqa: ARG002 - as every parser
        """Nothing for the graph."""
        return Settled(subgraph=Subgraph())


def usable(
    lines: Iterable[str], task: Task, assets: Assets, *, prompt: str, most: int
) -> tuple[list[str], Counter[LeftOut]]:
    """The lines that can stand for the task's instruction, without numbers, bullets and quotes; the others are counted by reason.

    A line without a word of the task (its own wordings, what is shown and ranked) is of something else. Two lines are the same if their words are
    (kgkit.names.word_forms). No asset is named, held out or not: an instruction is asked about all of them.
    """
    known = {word_forms(one) for one in (task.instruction, *task.paraphrases)}
    asked = word_forms(prompt)
    task_words = _words_of(*task.fields.values(), task.output_tag, *known)
    found: dict[str, str] = {}
    left_out: Counter[LeftOut] = Counter()
    for line in lines:
        text = _bare(line)
        form = word_forms(text)
        if why := _fault(text, assets):
            left_out[why] += 1
        elif form in known:
            left_out["known"] += 1
        elif form in asked:
            left_out["of the prompt"] += 1
        elif not task_words & _words_of(text):
            left_out["of something else"] += 1
        elif form in found:
            left_out["twice"] += 1
        elif len(found) == most:
            left_out["more than asked for"] += 1
        else:
            found[form] = text
    return list(found.values()), left_out


def _fault(text: str, assets: Assets) -> LeftOut | None:
    """What is wrong with a line by itself."""
    words = len(word_forms(text).split())
    faults: dict[LeftOut, bool] = {
        "marks of a prompt": _OF_A_PROMPT.search(text) is not None,
        "too short": words < FEWEST_WORDS,
        "too long": words > MOST_WORDS,
        "several sentences": NEXT_SENTENCE.search(text) is not None,
        "no end": SENTENCE_END.search(text) is None,
        "names an asset": any(
            pattern.search(text) for pattern in (assets.asset_pattern, assets.held_out_pattern)
        ),
    }
    return next((why for why, found in faults.items() if found), None)


def _words_of(*texts: str) -> set[str]:
    """The words that say something, in singular."""
    words = (word for text in texts for word in word_forms(text).split())
    return {word for word in words if len(word) > 2} - _EVERYWHERE


def _bare(line: str) -> str:
    return " ".join(_ITEM.sub("", line).split()).strip(_QUOTES)


def _from_json(text: str) -> list[str]:
    lines = checks.json_answer(text).get("paraphrases")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise BadReply("wrong shape", '"paraphrases" is not a list of texts')
    return lines


def _from_list(text: str) -> list[str]:
    """The items of a list; all lines where none is an item."""
    lines = [line for line in checks.without_introduction(text).splitlines() if line.strip()]
    return [line for line in lines if _ITEM.match(line)] or lines


def read_paraphrases(path: Path) -> dict[str, list[Paraphrase]]:
    """Task -> what teachers said; nothing where there is no file. Raises ContentError for a file that cannot be read."""
    return content.read_yaml(path, _File).root if path.exists() else {}


def write_paraphrases(path: Path, said: Mapping[str, Sequence[Paraphrase]]) -> None:
    """Write the file, tasks by name, each one's paraphrases by their text."""
    listed = {
        name: [one.model_dump() for one in sorted(said[name], key=lambda one: _place(one.text))]
        for name in sorted(said)
    }
    text = yaml.safe_dump(listed, sort_keys=False, allow_unicode=True, width=1000)
    write_atomically(path, f"{_HEAD}{text}".encode())


def _place(text: str) -> tuple[str, str]:
    return plain(text), text


def new_ones(said: Iterable[Paraphrase], kept: Iterable[Paraphrase]) -> list[Paraphrase]:
    """Those of `said` that say in other words what `kept` says."""
    there = {word_forms(one.text) for one in kept}
    return [one for one in said if word_forms(one.text) not in there]


def with_paraphrases(task: Task, said: Iterable[Paraphrase]) -> Task:
    """The task, with what a teacher said behind its own paraphrases."""
    own = {word_forms(one) for one in (task.instruction, *task.paraphrases)}
    more = [one.text for one in said if word_forms(one.text) not in own]
    return task.model_copy(update={"paraphrases": (*task.paraphrases, *more)})
