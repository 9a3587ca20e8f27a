"""Turn passages into a curation: filters, then duplicates among what passed them, and leaks, in one pass over the texts.

The passages are read once, in batches; ids, openings and 8 bytes a word of what may be a duplicate stay in memory.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from kgkit.corpora.curation import CuratedInput, Curation, CurationSpec, Leak, Reason, Verdict
from kgkit.corpora.filters import flaws
from kgkit.corpora.leaks import StemIndex, held_out_names
from kgkit.corpora.near_duplicates import Duplicate, DuplicateSearch
from kgkit.corpora.shingles import plain_text, words

_AT_ONCE = 500
_OPENING = 160
_SAMPLE = 20


def curate(
    passages: Iterable[CuratedInput],
    *,
    spec: CurationSpec,
    held_out: re.Pattern[str],
    stems: Iterable[str],
) -> Curation:
    """Judge `passages` (ids are unique). The same answer for any order of passages and stems.

    A duplicate is looked for among passages of its group that have no other flaw, so that a flawed one is never kept instead
    of a sound one. Leaks are looked for in all passages.
    """
    index = StemIndex(stems if spec.leaks.enabled else (), spec.leaks)
    search = DuplicateSearch(spec.duplicates)
    verdicts: dict[str, Verdict] = {}
    leaks: list[Leak] = []
    openings: dict[str, tuple[str, str]] = {}
    totals: Counter[str] = Counter()
    for batch in _batches(passages):
        texts = [passage.text for passage in batch]
        plain = [plain_text(text) for text in texts]
        hashed = words(plain)
        totals.update(passage.group for passage in batch)
        leaks += held_out_names(batch, held_out)
        leaks += index.found(batch, hashed)
        sound = []
        for place, flaw in enumerate(flaws(texts, plain, hashed, spec=spec)):
            if flaw is None:
                sound.append(place)
            else:
                verdicts[batch[place].id] = _verdict(batch[place], *flaw)
        if spec.duplicates.enabled:
            kept = [batch[place] for place in sound]
            search.add(
                [passage.id for passage in kept],
                [passage.group for passage in kept],
                [plain[place] for place in sound],
                hashed.rows(sound),
            )
            openings |= {passage.id: (passage.kind, _opening(passage)) for passage in kept}
    duplicates = search.found()
    for duplicate in duplicates:
        verdicts[duplicate.id] = _superfluous(duplicate, openings[duplicate.id][0])
    leaks.sort(key=lambda leak: (leak.id, leak.what))
    report = {
        "passages": dict(sorted(totals.items())),
        "reasons": _by_group((verdict.group, verdict.reason) for verdict in verdicts.values()),
        "duplicates": {
            "exact": sum(duplicate.exact for duplicate in duplicates),
            "near": sum(not duplicate.exact for duplicate in duplicates),
            "bands_cut_short": search.crowded,
            "sample": [_pair(duplicate, openings) for duplicate in _spread(duplicates)],
        },
        "leaks": _by_group((leak.group, leak.what) for leak in leaks),
        "thresholds": spec.model_dump(mode="json"),
    }
    return Curation(verdicts=dict(sorted(verdicts.items())), leaks=tuple(leaks), report=report)


def _batches(passages: Iterable[CuratedInput]) -> Iterator[list[CuratedInput]]:
    rest = iter(passages)
    while batch := list(islice(rest, _AT_ONCE)):
        yield batch


def _opening(passage: CuratedInput) -> str:
    return " ".join(passage.text[:_OPENING].split())


def _verdict(passage: CuratedInput, reason: Reason, detail: str) -> Verdict:
    return Verdict(
        id=passage.id, kind=passage.kind, group=passage.group, reason=reason, detail=detail
    )


def _superfluous(duplicate: Duplicate, kind: str) -> Verdict:
    how = "equal to" if duplicate.exact else f"similarity {duplicate.jaccard:.2f} with"
    return Verdict(
        id=duplicate.id,
        kind=kind,
        group=duplicate.group,
        reason="duplicate",
        detail=f"{how} {duplicate.duplicate_of}",
        duplicate_of=duplicate.duplicate_of,
        jaccard=duplicate.jaccard,
    )


def _by_group(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """(group, what) counted: group -> what -> count, sorted."""
    counts: dict[str, dict[str, int]] = {}
    for (group, what), count in sorted(Counter(pairs).items()):
        counts.setdefault(group, {})[what] = count
    return counts


def _spread(duplicates: list[Duplicate]) -> list[Duplicate]:
    """Some duplicates, from the least alike to the most."""
    near = sorted(
        (one for one in duplicates if not one.exact), key=lambda one: (one.jaccard, one.id)
    )
    step = max(len(near) / _SAMPLE, 1.0)
    return [near[int(place * step)] for place in range(min(_SAMPLE, len(near)))]


def _pair(
    duplicate: Duplicate, openings: Mapping[str, tuple[str, str]]
) -> dict[str, str | float | dict[str, str]]:
    def side(id_: str) -> dict[str, str]:
        kind, opening = openings[id_]
        return {"id": id_, "kind": kind, "opening": opening}

    return {
        "group": duplicate.group,
        "jaccard": duplicate.jaccard,
        "left_out": side(duplicate.id),
        "kept": side(duplicate.duplicate_of),
    }
