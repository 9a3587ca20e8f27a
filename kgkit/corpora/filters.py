"""Say of passages what is wrong with them: refusal, too short, too long, language, repetitive. A reason with its figure, or none.

All numbers are of corpora/curation.yaml. A batch of passages is judged at once, on the hashes of their words.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from kgkit.corpora.curation import (
    CurationSpec,
    LanguageSpec,
    LengthSpec,
    Reason,
    RefusalSpec,
    RepetitionSpec,
)
from kgkit.corpora.shingles import Hashes, HashSet, Ragged, plain_text, runs, words

Flaw = tuple[Reason, str]
_Share = npt.NDArray[np.float64]

# Frequent in any English text; words that German, Dutch, French, Spanish or Italian share (in, an, a, so, was, on) are not here.
FUNCTION_WORDS = (
    "the of and to is are that for with as by it from or be this when at can which these has if its may have not"
    " than will between because while such would should they where their there been into other any more through"
    " does how what only under both during over could then but each who you your"
)


def flaws(
    texts: Sequence[str], plain: Sequence[str], hashed: Ragged, *, spec: CurationSpec
) -> list[Flaw | None]:
    """The first flaw of each text, with its figure. `plain`: as `plain_text` makes them; `hashed`: their words."""
    found: list[Flaw | None] = [None] * len(texts)
    for check in (
        _refusals(plain, spec.refusal) if spec.refusal.enabled else {},
        _lengths(hashed, spec.length) if spec.length.enabled else {},
        _languages(plain, hashed, spec.language) if spec.language.enabled else {},
        _repetitions(texts, hashed, spec.repetition) if spec.repetition.enabled else {},
    ):
        for place, flaw in check.items():
            found[place] = found[place] or flaw
    return found


def _refusals(plain: Sequence[str], spec: RefusalSpec) -> dict[int, Flaw]:
    openings = tuple(_straight(plain_text(opening)) for opening in spec.openings)
    anywhere = [_straight(plain_text(phrase)) for phrase in spec.anywhere]
    found: dict[int, Flaw] = {}
    for place, text in enumerate(plain):
        said = _straight(text)
        if said.lstrip(" \"'*#->").startswith(openings):
            found[place] = "refusal", f"begins with: {said[:60]}"
            continue
        for phrase in anywhere:
            if phrase in said:
                found[place] = "refusal", f"says: {phrase}"
                break
    return found


def _straight(text: str) -> str:
    return text if text.isascii() else text.replace("\u2019", "'")


def _lengths(hashed: Ragged, spec: LengthSpec) -> dict[int, Flaw]:
    lengths = hashed.lengths
    found: dict[int, Flaw] = {}
    for place in np.flatnonzero((lengths < spec.min_words) | (lengths > spec.max_words)).tolist():
        count = int(lengths[place])
        if count < spec.min_words:
            found[place] = "too short", f"{count} words, at least {spec.min_words}"
        else:
            found[place] = "too long", f"{count} words, at most {spec.max_words}"
    return found


def _languages(plain: Sequence[str], hashed: Ragged, spec: LanguageSpec) -> dict[int, Flaw]:
    """Texts in none of the allowed languages. Words with a digit (codes, figures) speak for no language."""
    english = hashed.count(_function_words().has(hashed.values))
    found: dict[int, Flaw] = {}
    lengths = hashed.lengths
    doubtful = lengths >= spec.from_words
    if "en" in spec.allowed:
        doubtful &= english < spec.function_words * lengths
    for place in np.flatnonzero(doubtful).tolist():
        # few come here, unless English is not allowed: what follows may take its time
        text = plain[place]
        letters = sum(word.isalpha() for word in text.replace("-", " ").split()) or 1
        share = int(english[place]) / letters
        han = sum("\u3400" <= char <= "\u9fff" for char in text) / int(lengths[place])
        kana = any("\u3040" <= char <= "\u30ff" for char in text)
        judged = {
            "en": share >= spec.function_words and han < spec.han,
            "zh": han >= spec.han and not kana,
        }
        if not any(judged[language] for language in spec.allowed):
            found[place] = (
                "language",
                f"{share:.2f} English function words, {han:.2f} Chinese characters"
                + (", kana" if kana else ""),
            )
    return found


@cache
def _function_words() -> HashSet:
    return HashSet(words([FUNCTION_WORDS]).values)


def _repetitions(texts: Sequence[str], hashed: Ragged, spec: RepetitionSpec) -> dict[int, Flaw]:
    found: dict[int, Flaw] = {}
    for place, text in enumerate(texts):
        if "\n" in text:
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            share = 1 - len(set(lines)) / max(len(lines), 1)
            if share > spec.repeated_lines:
                found[place] = "repetitive", f"{share:.2f} of the lines stood before"
    long = hashed.lengths >= spec.from_words
    again, _ = repeated_and_top(runs(hashed, spec.repeated_run_words))
    _, top = repeated_and_top(runs(hashed, spec.top_run_words))
    covered = top * spec.top_run_words / np.maximum(hashed.lengths, 1)
    for place in np.flatnonzero(long & (again > spec.repeated_runs)).tolist():
        detail = f"{again[place]:.2f} of the runs of {spec.repeated_run_words} words stood before"
        found.setdefault(place, ("repetitive", detail))
    for place in np.flatnonzero(long & (covered > spec.top_run) & (top > 1)).tolist():
        detail = f"{int(top[place])} times the same {spec.top_run_words} words, {covered[place]:.2f} of all"
        found.setdefault(place, ("repetitive", detail))
    return found


def repeated_and_top(of: Ragged) -> tuple[_Share, _Share]:
    """For each row: the share of its values that stood before, in [0, 1); and how often the most frequent one stands."""
    count = len(of.offsets) - 1
    again, top = np.zeros(count), np.zeros(count)
    lengths = of.lengths
    if not len(of.values):
        return again, top
    # the row's number above 44 bits of the hash: one sort brings equal values of a row together
    low = np.uint64(20)
    keys: Hashes = np.repeat(np.arange(count, dtype=np.uint64), lengths) << np.uint64(44)
    keys |= of.values >> low
    keys.sort()
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    times = np.diff(np.append(first, len(keys)))
    rows, starts = np.unique((keys[first] >> np.uint64(44)).astype(np.int64), return_index=True)
    top[rows] = np.maximum.reduceat(times, starts)
    distinct = np.diff(np.append(starts, len(first)))
    again[rows] = 1 - distinct / lengths[rows]
    return again, top
