import re
import struct
from pathlib import Path
from typing import get_args

import pytest

from kgkit.corpora import figures, terms
from kgkit.corpora.distinct import Distinct
from kgkit.corpora.kinds import PASSAGE_CORPORA
from kgkit.corpora.published import PublishedCorpus, alia_corpora
from kgkit.corpora.statistics import CorpusStatistics, Rejected, Statistics
from kgkit.corpora.terms import Place, Term
from kgkit.names import asset_id
from kgkit.splits import read_split
from tests.conftest import Open

STATISTICS = Statistics(
    tokenizer="a tokenizer",
    vocabulary=9,
    split="default",
    counts=(),
    corpora=tuple(
        CorpusStatistics(
            corpus=corpus,
            passages=1000 * number,
            tokens=50_500 * number,
            lengths=dict.fromkeys(range(1, 101), 10 * number) if number else {},
            distinct=(Distinct(n=1, total=1, distinct=1, estimated=False),),
            openings=(),
            openings_error=0,
        )
        for number, corpus in enumerate(PASSAGE_CORPORA)
    ),
    rejected=(Rejected(stage="describe", reason="too short", replies=12),),
)
NOTHING = Statistics(
    tokenizer="a tokenizer", vocabulary=9, split="default", counts=(), corpora=(), rejected=()
)
TERMS: list[Term] = [
    Term(kind="sensor", name=f"{what} {where}", use=use)
    for use, what in zip(get_args(terms.Use), ("vibration", "noise", "pressure"), strict=True)
    for where in ("inlet", "outlet", "bearing", "casing", "shaft")
]
"""Fifteen names."""


def drawn(folder: Path, statistics: Statistics = STATISTICS) -> dict[str, bytes]:
    paths = figures.draw(
        statistics,
        published=alia_corpora(),
        places=terms.places(TERMS),
        names=len(TERMS),
        folder=folder,
    )
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return drawn(tmp_path_factory.mktemp("figures"))


def test_the_same_numbers_give_the_same_bytes(files: dict[str, bytes], tmp_path: Path) -> None:
    assert drawn(tmp_path) == files
    assert set(files) == {f"{name}.{end}" for name in figures.FIGURES for end in ("svg", "png")}


def test_figures_can_be_read_on_a_phone(files: dict[str, bytes]) -> None:
    for name, data in files.items():
        if name.endswith(".png"):
            width, _ = struct.unpack(">II", data[16:24])
            assert width == 1000
            continue
        svg = data.decode()
        sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)]
        assert sizes, name
        assert min(sizes) >= 10, name
        assert 'width="360pt"' in svg


def test_the_papers_numbers_stand_beside_ours(files: dict[str, bytes]) -> None:
    said = texts(files["passages.svg"])
    for number in ("4,000", "7,307", "23,042", "17,230", "348,223", "not reported", "none"):
        assert number in said
    assert {"202,000", "2.32 M", "7.37 M", "5.4 M", "334.19 M"} <= texts(files["tokens.svg"])


def test_the_papers_numbers_are_those_of_its_section_5_1() -> None:
    assert alia_corpora().corpora == {
        "kd_base": PublishedCorpus(passages=7307, million_tokens=2.32),
        "kd_rephrase": PublishedCorpus(passages=23042, million_tokens=7.37),
        "kd_qa": PublishedCorpus(passages=17230, million_tokens=5.4),
        "kd_extend": PublishedCorpus(passages=348223, million_tokens=334.19),
    }


def test_captions_say_who_counted_and_how_names_were_placed(files: dict[str, bytes]) -> None:
    assert "a tokenizer" in " ".join(sorted(texts(files["lengths.svg"])))
    said = " ".join(re.findall(r">([^<>]+)</text>", files["terms.svg"].decode()))
    assert "SVD to 14, t-SNE (perplexity 4.67, seed 0)" in said
    assert terms.method(len(TERMS)) in said
    assert "SVD to 50, t-SNE (perplexity 30, seed 0)" in terms.method(terms.MOST)
    assert "evaluation only: 5" in said


def test_a_figure_that_has_no_numbers_any_more_is_removed(tmp_path: Path) -> None:
    earlier, other = tmp_path / "terms.svg", tmp_path / "mine.svg"
    for path in (earlier, other):
        path.write_text("<svg/>")
    assert (
        figures.draw(NOTHING, published=alia_corpora(), places=[], names=0, folder=tmp_path) == []
    )
    assert list(tmp_path.iterdir()) == [other]


def test_many_names_are_sampled_and_the_caption_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "MOST", 11)
    chosen = terms.sample(TERMS)
    assert len(chosen) == 11
    assert terms.sample(TERMS[::-1]) == chosen
    places = [Place(term=term, x=float(n), y=0.0) for n, term in enumerate(chosen)]
    figures.draw(
        NOTHING,
        published=alia_corpora(),
        places=places,
        names=15,
        folder=tmp_path,
    )
    assert "11 of 15 names" in (tmp_path / "terms.svg").read_text()


def test_few_names_have_no_places() -> None:
    assert terms.places(TERMS[: terms.FEWEST - 1]) == []


def test_names_that_look_alike_lie_near_each_other() -> None:
    places = {place.term.name: (place.x, place.y) for place in terms.places(TERMS)}

    def distance(one: str, other: str) -> float:
        return sum((a - b) ** 2 for a, b in zip(places[one], places[other], strict=True))

    assert distance("noise inlet", "noise outlet") < distance("noise inlet", "vibration shaft")


def test_what_held_out_assets_have_is_for_evaluation(starter: Path, open_workspace: Open) -> None:
    graph = open_workspace(starter).graph
    use = {
        (term.kind, asset_id(term.name)): term.use
        for term in terms.terms(graph, read_split("default"))
    }
    assert use["asset", "compressor"] == "evaluation"
    assert use["asset", "pump"] == "source"
    assert use["asset", "fan"] == "source"
    assert use["sensor", "vibration"] == "both"
    assert set(use.values()) == {"source", "evaluation", "both"}


def texts(svg: bytes) -> set[str]:
    return set(re.findall(r">([^<>]+)</text>", svg.decode()))
