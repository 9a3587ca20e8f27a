"""Find questions in texts, word for word: whatever stands before them, however they are spelt, spaced or broken into lines."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from kgkit.names import plain

_HEAD = 4
"""So many first words find the questions that may begin at a word."""
_CHINESE = "\u3400-\u9fff"
_WORD = re.compile(rf"[{_CHINESE}]|[^\W_{_CHINESE}]+(?:[.,]\d+)*|[-+×÷*/%=<>]")  # noqa: RUF001 - signs of arithmetic
_END = re.compile(r"\W*[.?!:。？！]")  # noqa: RUF001 - Chinese punctuation


class Phrases:
    """Questions by their first words. One that ends as a sentence is found where a sentence ends, any other only where a line does."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._by_head: dict[tuple[str, ...], list[tuple[list[str], bool, str]]] = defaultdict(list)
        for phrase in sorted(set(phrases)):
            words, ends = _words(phrase)
            if words:
                said = " ".join(phrase.split())
                self._by_head[tuple(words[:_HEAD])].append((words, len(words) in ends, said))
        self._lengths = sorted({len(head) for head in self._by_head})

    def found(self, text: str) -> str:
        """The first of them that the text has, "" if it has none."""
        words: list[str] = []
        lines: set[int] = set()
        sentences: set[int] = set()
        for line in text.splitlines():
            more, ends = _words(line)
            sentences.update(len(words) + end for end in ends)
            words += more
            lines.add(len(words))
        return next(self._in(words, lines, sentences | lines), "")

    def _in(self, words: Sequence[str], lines: set[int], sentences: set[int]) -> Iterator[str]:
        for start in range(len(words)):
            for length in self._lengths:
                for phrase, is_sentence, said in self._by_head.get(
                    tuple(words[start : start + length]), ()
                ):
                    end = start + len(phrase)
                    if words[start:end] == phrase and end in (sentences if is_sentence else lines):
                        yield said


def _words(line: str) -> tuple[list[str], set[int]]:
    """The words of a line, numbers and signs of arithmetic among them, and after how many of them a sentence ends."""
    text = plain(line)
    found = list(_WORD.finditer(text))
    ends = {number for number, word in enumerate(found, start=1) if _END.match(text, word.end())}
    return [word.group() for word in found], ends
