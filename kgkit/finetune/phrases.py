"""Find questions in texts, word for word: whatever stands before them, however they are spelt, spaced or broken into lines."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from kgkit.names import plain

_HEAD = 4
"""So many first words find the questions that may begin at a word."""
_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"[.?!:。？！]\W*\Z")  # noqa: RUF001 - Chinese punctuation


class Phrases:
    """Questions by their first words. One that ends as a sentence is found anywhere, any other only at the end of a line."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._by_head: dict[tuple[str, ...], list[tuple[list[str], str]]] = defaultdict(list)
        for phrase in sorted(set(phrases)):
            if words := _WORD.findall(plain(phrase)):
                self._by_head[tuple(words[:_HEAD])].append((words, phrase))
        self._lengths = sorted({len(head) for head in self._by_head})

    def found(self, text: str) -> str:
        """The first of them that the text has, "" if it has none."""
        words: list[str] = []
        ends: set[int] = set()
        for line in text.splitlines():
            words += _WORD.findall(plain(line))
            ends.add(len(words))
        return next(self._in(words, ends), "")

    def _in(self, words: Sequence[str], ends: set[int]) -> Iterator[str]:
        for start in range(len(words)):
            for length in self._lengths:
                for phrase, said in self._by_head.get(tuple(words[start : start + length]), ()):
                    end = start + len(phrase)
                    if words[start:end] == phrase and (end in ends or _SENTENCE.search(said)):
                        yield " ".join(said.split())
