"""The table of results where a model answered nothing, or is called as another one."""

from kgkit.evaluation.figures import draw
from kgkit.evaluation.table import table
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
