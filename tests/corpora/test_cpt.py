"""The corpus for continued pre-training keeps its budget, its shares and its order, however the passages come in pages."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from kgkit.corpora.cpt import NOT_IN_MIX, OVER_BUDGET, cpt
from kgkit.corpora.row import LINEAGE
from kgkit.corpora.tokens import Tokens
from kgkit.errors import UsageError
from kgkit.graph.arrow import arrow_schema

KINDS = {"asset_sensor": "kd_base", "rephrase_wiki": "kd_rephrase", "qa": "kd_qa", "entity_role": "kd_extend"}  # fmt: skip
SCHEMA = arrow_schema(
    {"id": "string", "kind": "string", "question": "string", "text": "string", **LINEAGE}
)


def a_word_each() -> Tokens:
    tokenizer = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    return Tokens(name="a word each", vocabulary=1, tokenizer=tokenizer)


WORDS = a_word_each()


def passage(number: int, kind: str, words: int, split: str = "train") -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(SCHEMA.names, "")
    question = "why" if kind == "qa" else ""
    return row | {
        "id": f"{number:04x}", "kind": kind, "question": question, "text": " ".join(["w"] * words), "split": split,
        "parents": [], "sources": [],
    }  # fmt: skip


def rows_of(
    passages: list[dict[str, object]],
    *,
    at_once: int = 3,
    left_out: Counter[str] | None = None,
    tokens: int | None = None,
    mix: dict[str, float] | None = None,
) -> list[dict[str, object]]:
    made = cpt(tokens=tokens, mix=mix, tokenizer=WORDS if tokens is not None else None)
    rows = made.begin(Counter() if left_out is None else left_out)
    whole = pa.Table.from_pylist([row for row in passages if row["kind"] in made.kinds], SCHEMA)
    found: list[dict[str, object]] = []
    for start in range(0, whole.num_rows, at_once):
        page = rows(whole.slice(start, at_once)).select(list(made.columns))
        assert page.schema == arrow_schema(made.columns)
        found += page.to_pylist()
    return found


def tokens_of(rows: list[dict[str, object]], split: str = "train") -> Counter[str]:
    found: Counter[str] = Counter()
    for row in rows:
        if row["split"] == split:
            found[str(row["corpus"])] += int(str(row["tokens"]))
    return found


many = st.lists(
    st.tuples(
        st.sampled_from(list(KINDS)), st.integers(0, 9), st.sampled_from(["train", "validation"])
    ),
    max_size=25,
).map(lambda rows: [passage(number, *row) for number, row in enumerate(rows)])


@settings(max_examples=60, deadline=None)
@given(many, st.integers(1, 60), st.integers(0, 60), st.integers(1, 9))
def test_a_larger_budget_takes_what_a_smaller_one_took_and_more(
    passages: list[dict[str, object]], budget: int, more: int, at_once: int
) -> None:
    small = rows_of(passages, tokens=budget, at_once=at_once)
    large = rows_of(passages, tokens=budget + more)
    training = [row for row in small if row["split"] == "train"]
    assert [row for row in large if row["split"] == "train"][: len(training)] == training


@settings(max_examples=60, deadline=None)
@given(many, st.integers(1, 60), st.integers(1, 9))
def test_the_budget_is_reached_and_overrun_by_less_than_a_passage(
    passages: list[dict[str, object]], budget: int, at_once: int
) -> None:
    left_out: Counter[str] = Counter()
    found = rows_of(passages, tokens=budget, at_once=at_once, left_out=left_out)
    whole = rows_of(passages, tokens=10_000)
    training = [row for row in found if row["split"] == "train"]
    total = tokens_of(found).total()
    if training:
        assert total - int(str(training[-1]["tokens"])) < budget
    assert total >= min(budget, tokens_of(whole).total())
    assert left_out == +Counter({OVER_BUDGET: len(whole) - len(found)})
    assert [row for row in found if row["split"] != "train"] == [
        row for row in whole if row["split"] != "train"
    ]


def test_each_corpus_gets_its_share_and_one_that_is_short_gives_all_it_has_once() -> None:
    kinds = [kind for kind in KINDS for _ in range(40)]
    passages = [passage(number, kind, 8) for number, kind in enumerate(kinds)]
    passages = [row for row in passages if row["kind"] != "rephrase_wiki"] + [
        passage(900, "rephrase_wiki", 8)
    ]
    passages += [passage(901, "qa", 8, split="validation"), passage(902, "entity_role", 8, split="validation")]  # fmt: skip
    left_out: Counter[str] = Counter()
    mix = {"kd_base": 2.0, "kd_extend": 1.0, "kd_rephrase": 1.0}
    found = rows_of(passages, left_out=left_out, tokens=240, mix=mix)
    assert tokens_of(found) == {"kd_base": 120, "kd_extend": 64, "kd_rephrase": 8}
    assert tokens_of(found, "validation") == {"kd_extend": 8}
    assert len({row["id"] for row in found}) == len(found)
    assert left_out == {NOT_IN_MIX: 41, OVER_BUDGET: len(passages) - len(found) - 41}


def test_all_passages_come_uncounted_without_a_budget() -> None:
    passages = [passage(number, kind, number) for number, kind in enumerate(KINDS)]
    found = rows_of(passages)
    assert [(row["corpus"], row["tokens"]) for row in found] == [
        (name, None) for name in KINDS.values()
    ]


def test_a_question_stands_before_its_answer() -> None:
    (row,) = rows_of([passage(1, "qa", 2)], tokens=99)
    assert row["text"] == "Question: why\nAnswer: w w"
    assert row["tokens"] == 7


@pytest.mark.parametrize(
    ("tokens", "mix", "said"),
    [
        (None, {"kd_base": 1.0}, "give --tokens"),
        (9, {"kd_bse": 1.0}, "--mix kd_bse: choose from kd_base, "),
        (9, {"kd_base": 0.0}, "a weight is a number above 0"),
        (9, {"kd_base": float("nan")}, "a weight is a number above 0"),
        (9, {"kd_base": float("inf")}, "a weight is a number above 0"),
    ],
)
def test_a_mix_that_shares_out_nothing_is_refused(
    tokens: int | None, mix: dict[str, float], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        cpt(tokens=tokens, mix=mix, tokenizer=WORDS)
