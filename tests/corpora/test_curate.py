"""A curation depends on the passages alone, gives each at most one reason, and is found again as it was saved."""

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgkit.corpora.curate import curate
from kgkit.corpora.curation import (
    CuratedInput,
    Curation,
    Verdict,
    basis,
    load,
    read_spec,
    save,
)
from kgkit.corpora.export import export, order
from kgkit.errors import ContentError
from kgkit.graph import reading
from tests.conftest import Open
from tests.corpora.curated import (
    DOCUMENT,
    GERMAN,
    NOTHING,
    OTHER,
    REFUSAL,
    TECHNICAL,
    inputs,
    replaced,
)
from tests.walk import kgkit, matrix_file

SPEC = read_spec()
STEM = "Which sensor responds first when unbalance occurs on the steam turbine?"
COMPRESSOR = re.compile("compressors?", re.IGNORECASE)
TEXTS = [
    DOCUMENT,
    DOCUMENT.upper(),
    replaced(DOCUMENT, 1),
    f"{DOCUMENT} See the manual of the maker.",
    OTHER,
    f"{OTHER} A compressor has them too.",
    TECHNICAL,
    GERMAN,
    REFUSAL,
    REFUSAL,
    "Too short.",
    f"{STEM} Vibration does.",
]


def curated(passages: list[CuratedInput]) -> Curation:
    return curate(passages, spec=SPEC, held_out=COMPRESSOR, stems=[STEM])


def test_the_whole_of_a_small_curation() -> None:
    # t0002 is like t0000, which is left out, and not enough like t0003, which is kept
    found = curated(inputs(TEXTS))
    assert {id_: (one.reason, one.duplicate_of) for id_, one in found.verdicts.items()} == {
        "t0000": ("duplicate", "t0003"),
        "t0001": ("duplicate", "t0003"),
        "t0004": ("duplicate", "t0005"),
        "t0007": ("language", None),
        "t0008": ("refusal", None),
        "t0009": ("refusal", None),
        "t0010": ("too short", None),
    }
    assert [(leak.id, leak.what) for leak in found.leaks] == [
        ("t0005", "held-out name"),
        ("t0011", "equal to a stem"),
    ]
    report = found.report
    assert report["passages"] == {"kd_base": 12}
    assert report["reasons"] == {
        "kd_base": {"duplicate": 3, "language": 1, "refusal": 2, "too short": 1}
    }
    assert report["leaks"] == {"kd_base": {"equal to a stem": 1, "held-out name": 1}}
    duplicates = report["duplicates"]
    assert isinstance(duplicates, dict)
    assert (duplicates["exact"], duplicates["near"], duplicates["bands_cut_short"]) == (0, 3, 0)
    assert duplicates["sample"][0]["kept"]["opening"] == DOCUMENT[:160].strip()
    assert report["thresholds"] == SPEC.model_dump(mode="json")


@settings(max_examples=15, deadline=None)
@given(st.permutations(inputs(TEXTS)))
def test_order_does_not_count(passages: list[CuratedInput]) -> None:
    assert curated(passages) == curated(inputs(TEXTS))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(TEXTS), max_size=9))
def test_what_a_curation_keeps_it_keeps_again(texts: list[str]) -> None:
    passages = inputs(texts)
    left_out = curated(passages).verdicts
    kept = [passage for passage in passages if passage.id not in left_out]
    assert curated(kept).verdicts == {}


def test_a_duplicate_is_looked_for_in_its_group_alone() -> None:
    passages = [*inputs([DOCUMENT]), replace(inputs([DOCUMENT], group="kd_qa")[0], id="q")]
    assert curated(passages).verdicts == {}


def test_leaks_of_passages_that_are_left_out_are_told_apart() -> None:
    copy = f"{OTHER} A compressor has them too."
    found = curated(inputs([copy, copy]))
    assert [leak.id for leak in found.leaks] == ["t0000", "t0001"]
    assert [leak.id for leak in found.kept_leaks()] == ["t0000"]


def test_nothing_makes_an_empty_curation() -> None:
    found = curated([])
    assert (found.verdicts, found.leaks, found.report["passages"]) == ({}, (), {})


def test_a_saved_curation_is_found_again_on_its_basis_alone(tmp_path: Path) -> None:
    path = tmp_path / "curation.parquet"
    found = curated(inputs(TEXTS))
    assert load(path, basis="a") is None
    save(found, path, basis="a")
    assert load(path, basis="a") == found
    assert load(path, basis="b") is None
    first = path.read_bytes()
    save(curated(inputs(TEXTS)[::-1]), path, basis="a")
    assert path.read_bytes() == first
    path.write_bytes(first[:100])
    assert load(path, basis="a") is None


def test_the_basis_changes_with_whatever_the_answer_rests_on() -> None:
    def made(passages: str = "p", held_out: str = "x", stem: str = "s", ratio: float = 92) -> str:
        spec = SPEC.model_copy(update={"leaks": SPEC.leaks.model_copy(update={"ratio": ratio})})
        return basis(passages, spec=spec, held_out=re.compile(held_out), stems=[stem, "t"])

    assert made() == basis("p", spec=SPEC, held_out=re.compile("x"), stems=["t", "s"])
    assert len({made(), made("q"), made(held_out="y"), made(stem="u"), made(ratio=90)}) == 5


def test_a_wrong_curation_file_names_the_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[2] / "corpora" / "curation.yaml").read_text(encoding="utf-8")
    (tmp_path / "corpora").mkdir()
    monkeypatch.setenv("KGKIT_CONTENT", str(tmp_path))
    for old, new, message in (
        ("bands: 21", "bands: 40", r"duplicates: .*bands x rows is more than permutations"),
        ("allowed: [en, zh]", "allowed: [de]", r"language\.allowed\.0: "),
        ("min_words: 8", "min_word: 8", r"length\.min_words: Field required"),
    ):
        assert old in text
        (tmp_path / "corpora" / "curation.yaml").write_text(
            text.replace(old, new), encoding="utf-8"
        )
        with pytest.raises(ContentError, match=message):
            read_spec()


def test_no_filter_fires_on_the_reference_teachers_passages(
    starter: Path, open_workspace: Open
) -> None:
    kgkit("expand", "--asset", "pump", "--asset", "fan", workspace=starter)
    graph = open_workspace(starter).graph
    passages = [
        CuratedInput(id=one.id, kind=one.kind, group="kd_base", text=one.text)
        for one in reading.passages(graph)
    ]
    random.Random(1).shuffle(passages)
    assert len(passages) > 100
    found = curate(passages, spec=SPEC, held_out=NOTHING, stems=[STEM])
    assert {one.reason for one in found.verdicts.values()} <= {"duplicate"}
    assert json.loads(json.dumps(found.report)) == found.report
    assert found.leaks == ()


def test_an_export_holds_nothing_that_its_curation_leaves_out(
    tmp_path: Path, open_workspace: Open
) -> None:
    kgkit("load", matrix_file(tmp_path), workspace=tmp_path / "w")
    kgkit("expand", "--asset", "mixer", workspace=tmp_path / "w")
    plant = open_workspace(tmp_path / "w")
    first, *others = reading.passages(plant.graph)
    flaw = Verdict(id=first.id, kind=first.kind, group="kd_base", reason="refusal", detail="")
    written = export(
        tmp_path / "corpus",
        graph=plant.graph,
        ledger=plant.ledger,
        split=plant.split,
        curation=Curation(verdicts={first.id: flaw}, leaks=(), report={"passages": {}}),
        order=order(only=["kd_base"], format_="jsonl", splits=["train"], made=[]),
    )
    rows = (written.folder / written.parts["kd_base"]["train"].path).read_text().splitlines()
    assert {json.loads(row)["id"] for row in rows} == {one.id for one in others}
    assert written.left_out == {"kd_base": {"refusal": 1}}


def test_a_passage_that_tells_of_the_evaluation_ends_the_export(
    tmp_path: Path, open_workspace: Open
) -> None:
    kgkit("load", matrix_file(tmp_path), workspace=tmp_path / "w")
    kgkit("expand", "--asset", "mixer", workspace=tmp_path / "w")
    said = next(iter(reading.passages(open_workspace(tmp_path / "w").graph))).text
    questions, corpus = tmp_path / "questions.jsonl", tmp_path / "corpus"
    questions.write_text(json.dumps({"question": said}))
    refused = kgkit("export", corpus, "--against", questions, workspace=tmp_path / "w", code=1)
    assert "nothing was exported" in refused.err
    assert not corpus.exists()
