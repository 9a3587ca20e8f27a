"""The papers' numbers as data: well-formed, complete, and refused where a row cannot be right."""

from pathlib import Path

import pytest

from kgkit.doctor import check_content
from kgkit.errors import ContentError
from kgkit.evaluation.published import PublishedScores, published_scores

FOLDER = Path(__file__).parents[2] / "evaluation" / "published"


def table(paper: str, name: str):
    """The rows of one table: labels -> numbers."""
    (found,) = [one for one in published_scores() if one.name.startswith(paper)]
    (rows,) = [one.scores() for one in found.tables if one.table == name]
    return {tuple(row.by.values()): tuple(row.values.values()) for row in rows}


def test_every_number_is_said_to_be_of_other_models_and_data():
    papers = published_scores()
    assert [paper.name for paper in papers] == [
        "ALIA",
        "Embedding models for Industry 4.0 agents",
        "IndustryGPT",
    ]
    assert {paper.standing for paper in papers} == {
        "published, other models and data",
        "published, other split and data",
    }
    assert len(papers) == len(list(FOLDER.glob("*.yaml"))) - 1


def test_alia_tunes_from_44_8_to_47_4_below_its_teacher():
    assert table("ALIA", "Section 5.2") == {
        ("Llama-3.1-8B", "", ""): (44.8,),
        ("Llama-3.1-8B", "kd_base", "1"): (44.7,),
        ("Llama-3.1-8B", "kd_base", "3"): (47.4,),
        ("Llama-3.1-8B", "kd_rephrase", "1"): (46.5,),
        ("Llama-3.1-8B", "kd_rephrase", "3"): (45.0,),
    }
    assert table("ALIA", "Section 5.4") == {("Mistral Large 2",): (60.5,)}


def test_alia_is_better_without_its_undecided_answers_and_the_more_the_more_there_are():
    rows = sorted(table("ALIA", "Table 4").values(), key=lambda row: row[2])
    gains = [without / exact for exact, without, _ in rows]
    assert [undecided for _, _, undecided in rows] == [22, 91, 242]
    assert 1 < gains[0] < gains[1] < gains[2]


def test_embedding_tasks_have_their_sizes():
    sizes = table("Embedding", "Table 1")
    assert sizes["EU2SU",] == (43, 1191, 33.1)
    assert len(sizes) == 9
    assert sum(queries for queries, _, _ in sizes.values()) == 1139


def test_industrygpt_questions_sum_to_their_total():
    types = table("IndustryGPT", "Table 2").values()
    assert sum(count for count, _ in types) == 10571
    for count, share in types:
        assert count / 105.71 == pytest.approx(share, abs=0.05)


def test_industrygpt_has_all_its_tables_of_scores():
    (paper,) = [one for one in published_scores() if one.name == "IndustryGPT"]
    assert [one.table for one in paper.tables] == [f"Table {number}" for number in range(1, 9)]
    assert table("IndustryGPT", "Table 3")["DeepSeek-R1", "proprietary"] == (None, 77.5)


def test_embedding_tasks_have_bm25_and_five_models_before_and_after():
    rows = table("Embedding", "Table 3")
    tasks = ["A2S", "C2FM", "E2CAT", "E2CLT", "EU2SU", "FM2CMP", "FM2CLS", "FM2S", "S2FM"]
    models = sorted({label[1:3] for label in rows} - {("BM25", "")})
    assert list(dict.fromkeys(label[0] for label in rows)) == tasks
    assert len(models) == 5
    wanted = {(task, "BM25", "", "") for task in tasks}
    wanted |= {
        (task, *one, when) for task in tasks for one in models for when in ("before", "after")
    }
    assert set(rows) == wanted
    assert rows["FM2S", "E5-Mistral-7B", "7B", "after"] == (48.48, 54.27, 61.69)
    gains = [
        rows[task, *one, "after"][0] - rows[task, *one, "before"][0]
        for task in tasks
        for one in models
    ]
    assert sum(gains) / 45 == pytest.approx(58.15, abs=0.01)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("50.1, 50.7, 22]", "50.1, 50.7]", "Table 4, row 1 has 4 entries, not 5"),
        ("50.1, 50.7, 22]", "501, 50.7, 22]", "Table 4, row 1: 501 is no percentage"),
        ("50.1, 50.7, 22]", "50.1, 50.7, 2.5]", "Table 4, row 1: 2.5 is no count"),
        ("50.1, 50.7, 22]", '50.1, "-", 22]', "Table 4, row 1: '-' is no number"),
        ('kd_base, "1", 44.7', 'kd_base, "3", 44.7', "stands there twice"),
        ('kd_base, "1", 44.7', "kd_base, 1, 44.7", "must be texts"),
        ("other models and data", "our own", "standing"),
    ],
)
def test_a_row_that_cannot_be_right_is_named(old, new, message, tmp_path, monkeypatch):
    text = (FOLDER / "alia.yaml").read_text(encoding="utf-8")
    assert old in text
    for name in ("evaluation", "published"):
        tmp_path = tmp_path / name
        tmp_path.mkdir()
    (tmp_path / "alia.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    corpora = (FOLDER / "alia-corpora.yaml").read_text(encoding="utf-8")
    (tmp_path / "alia-corpora.yaml").write_text(corpora, encoding="utf-8")
    monkeypatch.setenv("KGKIT_CONTENT", str(tmp_path.parents[1]))
    with pytest.raises(ContentError, match=message) as caught:
        published_scores()
    assert str(caught.value) in check_content()


def test_scores_survive_json():
    for paper in published_scores():
        assert PublishedScores.model_validate_json(paper.model_dump_json()) == paper
