"""The table of results where a model answered nothing, or is called as another one."""

from pathlib import Path

import pytest

from kgkit.errors import UsageError
from kgkit.evaluation.figures import draw
from kgkit.evaluation.results import read_result, write_result
from kgkit.evaluation.table import kept_results, table
from tests.evaluation.posed import posed, question, result

OF = posed([question(f"{n:08x}") for n in range(20)])
RIGHT = {one.id: 1 for one in OF.questions}


def test_a_model_that_answered_nothing_has_no_score(tmp_path) -> None:
    """An interrupt before its first answer leaves such a result, which later tables are read beside."""
    for results in (
        [result("some", OF, RIGHT), result("none", OF, {})],
        [result("none", OF, {}), result("some", OF, RIGHT)],
    ):
        found = table(OF, results)
        lines = {line[0]: line[1] for line in found.rows}
        assert lines["none"] == ""
        assert lines["some"].startswith("1.000")
        assert lines["chance (expected)"] == "0.500"
        assert draw(found, tmp_path)


def test_models_of_one_name_are_told_apart_by_their_weights() -> None:
    first, second = (
        result("merged", OF, chosen).model_copy(update={"identity": f"merged@sha256:{digest}"})
        for chosen, digest in ((RIGHT, "a1b2c3d4e5"), (dict.fromkeys(RIGHT, 0), "f6e7d8c9b0"))
    )
    of = posed(OF.questions)
    of.chosen["popularity"] = {id_: frozenset({0}) for id_ in RIGHT}
    found = table(of, [first, second, result("other", of, RIGHT)])
    names = ["merged a1b2c3d4", "merged f6e7d8c9", "other"]
    assert [line[0] for line in found.rows[2:]] == names
    verdicts = [found.verdicts[name]["all questions"].best for name in names]
    assert verdicts == ["popularity", None, "popularity"]


def test_a_plain_run_with_the_same_answers_keeps_what_variants_said(tmp_path: Path) -> None:
    plain = result("some", OF, RIGHT)
    held = [one.model_copy(update={"held": True}) for one in plain.outcomes]
    whole = plain.model_copy(update={"robust": True, "outcomes": held})
    path = write_result(whole, tmp_path)
    assert write_result(plain, tmp_path) == path
    assert read_result(path) == whole
    other = result("some", OF, dict.fromkeys(RIGHT, 0))
    assert write_result(other, tmp_path) == path
    assert read_result(path) == other


def test_results_of_another_protocol_do_not_join(tmp_path: Path) -> None:
    before, after, third = (
        result(name, OF, RIGHT).model_copy(update={"protocol": protocol})
        for name, protocol in (("a", "alia"), ("b", "transfer"), ("c", "alia"))
    )
    for one in (third, untrained := result("d", OF, RIGHT)):
        write_result(one, tmp_path)
    assert kept_results(tmp_path, OF, but=[before]) == [third, untrained]
    assert kept_results(tmp_path, OF, but=[after]) == [untrained]
    assert kept_results(tmp_path, OF, but=[before, after]) == [untrained]
    with pytest.raises(UsageError, match="those of one protocol named with --model"):
        table(OF, [before, after])
