import dataclasses
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgkit.corpora import statistics as room
from kgkit.corpora import tokens as tokens_room
from kgkit.corpora.distinct import Distinct, DistinctNgrams
from kgkit.corpora.statistics import Opening, Rejected, Statistics, measure
from kgkit.corpora.tokens import BUNDLED, open_tokens
from kgkit.errors import ContentError, KgkitError, UsageError
from kgkit.graph.reading import StoredPassage
from kgkit.splits import read_split
from kgkit.teacher.ledger import StageTotals

EMPTY = StoredPassage(
    id="p", kind="asset_sensor", question="", text="", asset="pump", part="", sensor="", failure_mode="",
    parents=(), sources=(), ask="", prompt="", prompt_version="", teacher="",
)  # fmt: skip
TEXTS = [
    "Vibration shows wear.",
    "Vibration shows unbalance 12.",
    "",
    "Oil debris shows wear.",
    "?",
]


def passage(text: str, **changes: str) -> StoredPassage:
    return dataclasses.replace(EMPTY, text=text, **changes)  # type: ignore[arg-type]


bundled = cache(open_tokens)


def measured(*passages: StoredPassage) -> Statistics:
    return measure(passages, tokens=bundled(), split=read_split("default"), stages=[])


@pytest.fixture(scope="module")
def mixed() -> list[StoredPassage]:
    return [
        passage(text, kind=kind, asset=asset)
        for text in TEXTS
        for kind in ("asset_sensor", "rephrase_wiki", "raft", "summary")
        for asset in ("pump", "fan", "compressor")
    ]


def test_tokens_are_those_of_the_named_tokenizer() -> None:
    found = measured(passage("Vibration shows wear."))
    (ids,) = bundled().ids(["Vibration shows wear."])
    assert (found.tokenizer, found.vocabulary, found.corpora[0].tokens) == (
        BUNDLED,
        49152,
        len(ids),
    )
    assert bundled().tokenizer.decode(ids) == "Vibration shows wear."


def test_every_sum_is_the_sum_of_the_rows(mixed: list[StoredPassage]) -> None:
    found = measured(*mixed)
    whole = (len(mixed), sum(len(ids) for ids in bundled().ids([p.text for p in mixed])))
    for columns in (("corpus",), ("kind",), ("asset",), ("split",), ("corpus", "kind", "asset")):
        sums = found.by(*columns).values()
        assert (sum(n for n, _ in sums), sum(n for _, n in sums)) == whole
    for corpus in found.corpora:
        assert (corpus.passages, corpus.tokens) == found.by("corpus").get((corpus.corpus,), (0, 0))
        assert corpus.passages == sum(corpus.lengths.values())


def test_a_passage_counts_for_its_kind_asset_and_side(mixed: list[StoredPassage]) -> None:
    found = measured(*mixed)
    n = len(TEXTS)
    passages = {key: count for key, (count, _) in found.by("corpus", "kind").items()}
    assert passages == {
        ("kd_base", "asset_sensor"): 3 * n,
        ("kd_rephrase", "rephrase_wiki"): 3 * n,
        ("kd_qa_raft", "summary"): 3 * n,
        ("kd_qa_raft", "raft"): 3 * n,
    }
    sides = {key: count for key, (count, _) in found.by("asset", "split").items()}
    assert sides == {
        ("compressor", "test"): 4 * n,
        ("fan", "validation"): 4 * n,
        ("pump", "train"): 4 * n,
    }


def test_the_order_and_the_batches_change_nothing(
    mixed: list[StoredPassage], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measured(*mixed)
    monkeypatch.setattr(room, "_CHARACTERS_AT_ONCE", 30)
    assert measured(*reversed(mixed)) == whole


def test_a_question_counts_with_its_answer() -> None:
    both = measured(passage("Wear.", kind="qa", question="What does vibration show?"))
    assert both.corpora == measured(passage("What does vibration show?\nWear.", kind="qa")).corpora


def test_lengths_say_how_many_passages_are_as_short() -> None:
    found = measured(*(passage(" wear" * n) for n in range(1, 101))).corpora[0]
    assert found.lengths == dict.fromkeys(range(1, 101), 1)
    assert [found.length(share) for share in (0.0, 0.05, 0.5, 0.95, 1.0)] == [1, 5, 50, 95, 100]


def test_openings_are_the_first_words_in_any_case() -> None:
    found = measured(
        passage("The pump is worn."), passage("the  Pump is new"), passage("Oil"), passage("")
    )
    assert found.corpora[0].openings == (
        Opening(words="the pump is", passages=2),
        Opening(words="", passages=1),
        Opening(words="oil", passages=1),
    )


def test_forgotten_openings_make_counts_too_low_by_no_more_than_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "_OPENINGS_KEPT", 8)
    texts = [f"often {n % 3}" if n % 2 else f"rare {n}" for n in range(200)]
    found = measured(*map(passage, texts)).corpora[0]
    true = Counter(texts)
    assert 0 < found.openings_error <= 200 / 4
    assert [opening.words for opening in found.openings[:3]] == ["often 1", "often 0", "often 2"]
    for opening in found.openings:
        assert 0 <= true[opening.words] - opening.passages <= found.openings_error


def test_a_kind_that_no_corpus_holds_is_an_error() -> None:
    with pytest.raises(KgkitError, match="kind poem, which no corpus holds"):
        measured(passage("Roses are red.", kind="poem"))


def test_reasons_of_rejects_come_from_the_ledger() -> None:
    stage = StageTotals(
        stage="describe", asked=9, replied=9, failed={}, accepted=4, rejected={"too short": 2, "echo": 3},
        tokens_in=0, tokens_out=0,
    )  # fmt: skip
    found = measure([], tokens=bundled(), split=read_split("default"), stages=[stage])
    assert found.rejected == (
        Rejected(stage="describe", reason="echo", replies=3),
        Rejected(stage="describe", reason="too short", replies=2),
    )
    assert not found.counts


Texts = st.lists(st.lists(st.integers(0, 5), max_size=9), max_size=12)


@given(Texts, st.integers(1, 5))
def test_distinct_ngrams_are_those_of_a_set(texts: list[list[int]], size: int) -> None:
    counter = DistinctNgrams()
    for start in range(0, len(texts), size):
        counter.add(texts[start : start + size])
    for n, found in enumerate(counter.counts(), start=1):
        grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
        assert found == Distinct(n=n, total=len(grams), distinct=len(set(grams)), estimated=False)


def test_an_estimate_says_so_and_is_near() -> None:
    texts = [[(i * 7919 + j * j) % 50_000 for j in range(100)] for i in range(300)]
    small, exact = DistinctNgrams(kept=2**12), DistinctNgrams()
    for counter in (small, exact):
        counter.add(texts)
    for estimate, true in zip(small.counts(), exact.counts(), strict=True):
        assert (estimate.estimated, true.estimated) == (True, False)
        assert abs(estimate.distinct / true.distinct - 1) < 4 / (2**12) ** 0.5


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no tokenizer\.json"):
        open_tokens(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(ContentError, match="is no tokenizer"):
        open_tokens(tmp_path)


def test_any_folder_with_a_tokenizer_counts_and_is_named(tmp_path: Path) -> None:
    own = open_tokens().tokenizer
    own.enable_truncation(max_length=1)
    own.enable_padding(length=20)
    own.save(str(tmp_path / "tokenizer.json"))
    found = open_tokens(tmp_path)
    assert found.name == str(tmp_path)
    assert found.ids(TEXTS) == bundled().ids(TEXTS)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tokens_room.EXTRA, "no_such_module", "some-package")
    with pytest.raises(KgkitError, match=r'needs some-package: pip install "kgkit\[corpora\]"'):
        open_tokens()
