import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgkit.corpora.raft import RaftRow, raft_rows
from kgkit.errors import UsageError
from kgkit.graph.reading import StoredPassage
from kgkit.splits import read_split

SPLIT = read_split("default")
ASSETS = ["pump", "valve", "steam-turbine", "electric-motor", "fan", "compressor"]
"""Four for training, one for development, one held out."""
MODES = ["", "wear", "leak", "noise"]
SENSORS = ["", "vibration", "temperature"]


def passage(
    id_: str,
    asset: str,
    sensor: str,
    mode: str,
    parents: tuple[str, ...],
    question: str = "",
    text: str = "",
) -> StoredPassage:
    return StoredPassage(
        id=id_, kind="", question=question, text=text or f"text {id_}", asset=asset, part="", sensor=sensor,
        failure_mode=mode, parents=parents, sources=(), ask="", prompt="", prompt_version="", teacher="",
    )  # fmt: skip


def corpus(
    assets: list[str] = ASSETS, rows_each: int = 2
) -> tuple[list[StoredPassage], list[StoredPassage]]:
    """(raft passages, summaries): a document for each subject, with its summary and some answers."""
    summaries, raft = [], []
    for asset in assets:
        for sensor in SENSORS:
            for mode in MODES:
                if sensor or mode:
                    name = f"{asset}.{sensor}.{mode}"
                    summaries.append(passage(f"s-{name}", asset, sensor, mode, (f"d-{name}",)))
                    raft += [
                        passage(f"r{n}-{name}", asset, sensor, mode, (f"q{n}-{name}", f"s-{name}"),
                                question=f"q{n}?", text=f"##begin_quote##x##end_quote##\nwhy\nAnswer: plain {n}")
                        for n in range(rows_each)
                    ]  # fmt: skip
    return raft, summaries


RAFT, SUMMARIES = corpus()
BY_ID = {one.id: one for one in SUMMARIES}
ROW_OF = {one.id: one for one in RAFT}


def rows(raft=RAFT, summaries=SUMMARIES, **options) -> list[RaftRow]:
    return list(raft_rows(raft, summaries, split=SPLIT, **options))


@settings(max_examples=8, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(0, 6), st.sampled_from([0.0, 0.5, 0.8, 1.0]), st.randoms()
)
def test_rows_depend_on_the_seed_alone_not_on_the_order(
    seed: int, distractors: int, share: float, shuffled: random.Random
) -> None:
    options = {"seed": seed, "distractors": distractors, "oracle_share": share}
    raft, summaries = list(RAFT), list(SUMMARIES)
    shuffled.shuffle(raft)
    shuffled.shuffle(summaries)
    assert rows(iter(raft), iter(summaries), **options) == rows(**options)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.sets(st.sampled_from(sorted(ROW_OF)), min_size=1))
def test_a_new_row_changes_no_other_row(seed: int, some: set[str]) -> None:
    every = {row.id: row for row in rows(seed=seed)}
    for row in rows([ROW_OF[id_] for id_ in some], seed=seed):
        assert row == every[row.id]


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3))
def test_what_stands_in_a_row(seed: int, distractors: int) -> None:
    for row in rows(seed=seed, distractors=distractors):
        (oracle_id,) = row.oracle_ids
        oracle = BY_ID[oracle_id]
        shown = set(row.document_ids)
        assert len(row.document_ids) == len(shown) == distractors + 1
        assert shown == set(row.distractor_ids) | ({oracle_id} if row.has_oracle else set())
        assert row.documents == tuple(BY_ID[id_].text for id_ in row.document_ids)
        assert ("##begin_quote##" in row.answer) is row.has_oracle
        assert row.has_oracle or row.answer == f"plain {row.id[1]}"
        for other in (BY_ID[id_] for id_ in row.distractor_ids):
            assert SPLIT.side(other.asset) == SPLIT.side(oracle.asset) != "held_out"
            assert not set(other.parents) & set(oracle.parents)
            assert (other.asset, other.sensor, other.failure_mode) != (
                oracle.asset,
                oracle.sensor,
                oracle.failure_mode,
            )
            if other.asset == oracle.asset:
                assert other.failure_mode != oracle.failure_mode or not oracle.failure_mode


def test_no_distractor_is_of_the_oracles_document() -> None:
    """Even where two summaries of one document are said to be about different things."""
    oracle = BY_ID["s-pump.vibration.wear"]
    double = passage("s-double", "pump", "vibration", "leak", oracle.parents)
    found = rows(RAFT, [oracle, double, BY_ID["s-valve.vibration.leak"]], oracle_share=1.0)
    shown = {row.oracle_ids[0]: set(row.distractor_ids) for row in found}
    assert shown[oracle.id] == {"s-valve.vibration.leak"}


def test_hard_distractors_come_first() -> None:
    for row in rows(distractors=3):
        oracle = BY_ID[row.oracle_ids[0]]
        if oracle.failure_mode and oracle.asset != "fan":
            others = [BY_ID[id_] for id_ in row.distractor_ids]
            kinds = Counter(
                (one.asset == oracle.asset, one.failure_mode == oracle.failure_mode)
                for one in others
            )
            assert set(kinds) == {(True, False), (False, True)}, row


def test_no_row_and_no_distractor_is_of_a_held_out_family_and_development_stays_apart() -> None:
    assert {ROW_OF[row.id].asset for row in rows()} == set(ASSETS) - {"compressor"}
    fans = [row for row in rows() if ROW_OF[row.id].asset == "fan"]
    assert {BY_ID[id_].asset for row in fans for id_ in row.document_ids} == {"fan"}


def test_the_oracle_is_there_in_its_share_of_rows() -> None:
    raft, summaries = corpus(ASSETS[:4], rows_each=20)
    shares = [
        sum(row.has_oracle for row in rows(raft, summaries, seed=seed)) / len(raft)
        for seed in range(3)
    ]
    assert all(0.75 < share < 0.85 for share in shares), shares
    assert len(set(shares)) > 1
    assert all(row.has_oracle for row in rows(oracle_share=1.0))
    assert not any(row.has_oracle for row in rows(oracle_share=0.0))


def test_the_oracle_stands_in_every_place() -> None:
    places = Counter(row.document_ids.index(row.oracle_ids[0]) for row in rows() if row.has_oracle)
    assert set(places) == {0, 1, 2, 3}


def test_few_summaries_give_few_distractors_and_a_lost_summary_no_row() -> None:
    alone = [one for one in SUMMARIES if one.id == "s-pump.vibration.wear"]
    (first, second) = rows(RAFT, alone, oracle_share=1.0)
    assert first.document_ids == second.document_ids == ("s-pump.vibration.wear",)
    assert rows(RAFT, []) == []


@pytest.mark.parametrize(
    "options", [{"distractors": -1}, {"oracle_share": 1.1}, {"oracle_share": -0.1}]
)
def test_parameters_out_of_range_are_a_usage_error(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="RAFT with"):
        rows(**options)


def test_the_papers_size_takes_seconds() -> None:
    assets = [f"machine-{n}" for n in range(60)]
    raft, summaries = corpus(assets, rows_each=26)
    began = time.process_time()
    assert len(rows(raft, summaries)) == len(raft) >= 17_000
    assert time.process_time() - began < 10
