"""Published numbers stand beside measured ones, in tables of their own."""

import json

from kgkit.evaluation.published import published_beside, published_scores
from kgkit.evaluation.table import table
from kgkit.questions.benchmark import benchmark_names
from tests.evaluation.posed import posed, question, result


def test_every_table_stands_beside_benchmarks_that_are_there() -> None:
    """Or beside none: then it is printed nowhere."""
    known = {*benchmark_names(), "mmlu", "supergpqa", "retrieval"}
    tables = [table for paper in published_scores() for table in paper.tables]
    assert {name for table in tables for name in table.beside} <= known
    assert [beside.heading for beside in published_beside("fmsr-hard")] == [
        "IndustryGPT, Table 4: Industry-QA-Hard, zh "
        "(IndustryGPT: A Large Language Model for Industrial Domain-Specific Question Answering)"
    ]
    assert published_beside("general") == []


def test_numbers_are_printed_as_the_paper_has_them_and_never_among_measured_ones() -> None:
    of = posed([question("00000001")], name="fmsr")
    found = table(of, [result("ours", of, {"00000001": 1})])
    text = found.markdown()
    measured, *published = text.split("## published, other models and data\n")
    assert len(published) == len(published_beside("fmsr")) == 4
    assert "Llama" not in measured
    assert "ours" not in "".join(published)
    assert "| Llama-3.1-8B-Instruct | kd_qa_raft | 45.0 | 48.8 | 242 |" in published[2]
    assert [row[0] for row in found.rows] == ["chance (expected)", "ours"]
    shown = json.loads(json.dumps(found.as_json()))
    assert {one["standing"] for one in shown["published"]} == {"published, other models and data"}
    assert shown["published"][3]["rows"] == [{"model": "Mistral Large 2", "exact match": 60.5}]
    assert {score["model"] for score in shown["scores"]} == {"ours"}


def test_numbers_of_a_column_have_equally_many_decimals() -> None:
    (mmlu,) = published_beside("mmlu")
    assert mmlu.rows[1] == ["IndustryGPT-32B", "70.55", "70.60"]
    assert published_beside("fmsr")[2].rows[0][-1] == "22"
    assert ["DeepSeek-R1", "proprietary", "", "77.50"] in published_beside("fmsr-mix")[1].rows
