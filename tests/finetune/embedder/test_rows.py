"""Laws of what an embedder learns from: drawn afresh, one task a step, pairs as balanced as the loss says, nothing held out."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kgkit.errors import ContentError, UsageError
from kgkit.finetune.embedder import guard
from kgkit.finetune.embedder.losses import Table, labels
from kgkit.finetune.embedder.prepared import Ground, prepare
from kgkit.finetune.embedder.recipe import EmbedderRecipe, read_embedder
from kgkit.finetune.embedder.rows import query_as_asked
from kgkit.finetune.embedder.sampler import draw, task_order
from kgkit.finetune.recipe_files import find, kind_of, names
from kgkit.retrieval.paraphrases import Paraphrase
from kgkit.retrieval.pose import SIDES, Posed, pose_all
from kgkit.retrieval.tasks import read_tasks
from kgkit.splits import Side
from tests.conftest import Open
from tests.finetune.embedder.posed import FM2S, S2FM, SENSORS, posed

LEARNED = {"FM2S": FM2S, "S2FM": S2FM}
PAIRS = {"name": "contrastive", "margin": 1.0, "positives": 0.5, "hard": None}


def recipe(**changes: Any) -> EmbedderRecipe:
    return read_embedder(find("embedder"), changes)


def asked(**changes: Any) -> list[str]:
    rng = random.Random(0)
    said = recipe(**changes)
    return [
        query_as_asked(
            FM2S.task,
            FM2S.queries[0],
            recipe=said,
            descriptions={"pump": "A pump moves liquids."},
            rng=rng,
        )
        for _ in range(200)
    ]


def test_the_bundled_recipe_is_told_apart_by_what_it_holds() -> None:
    kinds = {name: kind_of(find(name)) for name in names()}
    assert kinds["embedder"] == "embedder"
    assert kinds["small-sft"] == "recipe"
    assert kinds["alia-sweep"] == "study"


def test_a_query_is_asked_afresh_each_time() -> None:
    plain = asked(paraphrased=0.0, left_out={}, descriptions=0.0)
    said = "Asset: pump, Category: Rotating equipment, Fault: bearing damage"
    assert set(plain) == {f"Instruct: {FM2S.task.instruction} Query: {said}"}
    found = Counter(asked(paraphrased=1.0, left_out={}))
    assert set(found) == {f"Instruct: {one} Query: {said}" for one in FM2S.task.paraphrases}


def test_any_field_but_the_key_is_left_out_sometimes() -> None:
    found = {one.partition(" Query: ")[2] for one in asked(paraphrased=0.0, left_out={"FM2S": 0.5})}
    key = "Fault: bearing damage"
    assert found == {
        key,
        f"Asset: pump, {key}",
        f"Category: Rotating equipment, {key}",
        f"Asset: pump, Category: Rotating equipment, {key}",
    }
    assert all("Asset: pump" in one for one in asked(left_out={"S2FM": 1.0}))


def test_a_description_follows_its_value_as_often_as_it_should() -> None:
    described = "Asset: pump (A pump moves liquids), Category"
    assert all(described in one for one in asked(left_out={}, descriptions=1.0))
    assert not any("moves" in one for one in asked(left_out={}, descriptions=0.0))
    share = sum(described in one for one in asked(left_out={}, descriptions=0.4)) / 200
    assert 0.3 < share < 0.5


@pytest.mark.parametrize(
    ("balance", "steps"),
    [
        (0.0, {"A": 20, "B": 20, "C": 20}),
        (0.5, {"A": 6, "B": 18, "C": 36}),
        (1.0, {"A": 1, "B": 12, "C": 47}),
    ],
)
def test_steps_go_by_the_queries_of_a_task_to_a_power(
    balance: float, steps: dict[str, int]
) -> None:
    said = recipe(steps=60, balance=balance)
    order = task_order(said, {"A": 1, "B": 9, "C": 36}, rng=random.Random(0))
    assert Counter(order) == steps
    assert order != sorted(order)


def test_the_same_seed_draws_the_same_and_another_seed_does_not() -> None:
    first, again, other = (
        draw(recipe(seed=seed), LEARNED, descriptions={}, nearest={}) for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_a_step_is_of_one_task_and_every_query_comes_up_before_one_comes_again() -> None:
    batches = draw(recipe(batch=3, steps=40), LEARNED, descriptions={}, nearest={})
    assert {len({row.task for row in batch}) for batch in batches} == {1}
    of_task = [row.query for batch in batches for row in batch if row.task == "FM2S"]
    rounds = [of_task[at : at + 4] for at in range(0, len(of_task) - 4, 4)]
    assert all(sorted(each) == sorted(FM2S.relevant) for each in rounds)


@pytest.mark.parametrize("positives", [0.0, 0.25, 0.5, 1.0])
def test_a_batch_of_pairs_is_as_balanced_as_the_loss_says(positives: float) -> None:
    said = recipe(loss={**PAIRS, "positives": positives}, batch=8, steps=30)
    batches = draw(said, {"FM2S": FM2S}, descriptions={}, nearest={})
    assert {sum(row.relevant for row in batch) for batch in batches} == {8 * positives}
    pairs = {(row.query, row.item): row.relevant for batch in batches for row in batch}
    held = {(query, item) for query, items in FM2S.relevant.items() for item in items}
    every = {(query.id, item) for query in FM2S.queries for item in SENSORS}
    assert {pair for pair, right in pairs.items() if right} == (held if positives else set())
    assert {pair for pair, right in pairs.items() if not right} == (
        every - held if positives < 1 else set()
    )


def test_some_wrong_pairs_are_the_nearest_ones() -> None:
    said = {**PAIRS, "hard": {"share": 0.5, "depth": 1}}
    near = {query.id: [one for one in SENSORS if one not in FM2S.relevant[query.id]] for query in FM2S.queries}  # fmt: skip
    batches = draw(
        recipe(loss=said, batch=8, steps=30),
        {"FM2S": FM2S},
        descriptions={},
        nearest={("FM2S", query): items for query, items in near.items()},
    )
    mined = {(query, items[0]) for query, items in near.items()}
    others = {(query, item) for query, items in near.items() for item in items} - mined
    assert others
    for batch in batches:
        assert sum(row.relevant for row in batch) == 4
        assert sum((row.query, row.item) in mined for row in batch) >= 2
    wrong = {(row.query, row.item) for batch in batches for row in batch if not row.relevant}
    assert wrong == mined | others


def test_a_task_without_a_wrong_pair_cannot_be_balanced() -> None:
    whole = {"FM2S": posed("FM2S", {("pump", "wear"): set(SENSORS)})}
    with pytest.raises(UsageError, match="FM2S: every item is relevant to every query"):
        draw(recipe(loss=PAIRS), whole, descriptions={}, nearest={})


def test_the_table_holds_what_is_relevant_and_numbers_run_through() -> None:
    table = Table(LEARNED)
    found = {
        (query, item)
        for query, row in table.queries.items()
        for item, column in table.items.items()
        if table.relevant[row, column]
    }
    assert found == {
        ((name, query), (name, item))
        for name, one in LEARNED.items()
        for query, items in one.relevant.items()
        for item in items
    }
    assert [table.items_of(number) for number in (0, 3, 4)] == [range(3), range(3), range(3, 6)]
    assert table.texts[3] == "Failure mode: vibration"
    rows = draw(recipe(loss=PAIRS, steps=2, batch=4), LEARNED, descriptions={}, nearest={})[0]
    assert labels(rows, recipe(loss=PAIRS).loss, table) == [float(row.relevant) for row in rows]


def test_nothing_of_what_is_held_out_is_learned_and_what_would_be_is_found(
    starter: Path, open_workspace: Open
) -> None:
    where = open_workspace(starter)
    sides: dict[str, dict[Side, Posed]] = {
        task.name: pose_all(task, where.graph, where.split) for task in read_tasks(["A2S", "FM2S"])
    }
    learned = {name: posed["train"] for name, posed in sides.items()}
    batches = draw(recipe(left_out={}), learned, descriptions={}, nearest={})
    passed = guard.check(batches, sides, where.graph, where.split)
    assert passed.checked > 100
    assert not {"compressors", "electric-generators", "fans-and-blowers"} & set(passed.families)
    assert "pumps" in passed.families

    named = draw(
        recipe(left_out={}, descriptions=1.0),
        learned,
        descriptions={"pump": "Like a compressor."},
        nearest={},
    )
    with pytest.raises(ContentError, match="names compressor, which is held out"):
        guard.check(named, sides, where.graph, where.split)
    turned = {
        name: dict(zip(SIDES, reversed([one[side] for side in SIDES]), strict=True))
        for name, one in sides.items()
    }
    with pytest.raises(ContentError, match="about compressors, which has to stay unseen"):
        guard.check([], turned, where.graph, where.split)
    asked = {"A2S": {**sides["A2S"], "dev": sides["A2S"]["train"]}}
    some = draw(
        recipe(paraphrased=0.0, left_out={}), {"A2S": learned["A2S"]}, descriptions={}, nearest={}
    )
    with pytest.raises(ContentError, match="asks what the evaluation asks: A2S asks Asset"):
        guard.check(some, asked, where.graph, where.split)


def test_a_teachers_paraphrases_are_drawn_where_the_recipe_says_so(
    starter: Path, open_workspace: Open, tmp_path: Path
) -> None:
    where = open_workspace(starter)
    (tmp_path / "modules.json").write_text("[]")
    said = "By which measurements would this fault be noticed?"

    def drawn(*paraphrases: Paraphrase, **changes: Any) -> set[str]:
        ground = Ground(
            graph=where.graph,
            split=where.split,
            ledger=where.ledger,
            evaluations=tmp_path,
            descriptions={},
            paraphrases={"FM2S": paraphrases},
        )
        prepared = prepare(
            recipe(tasks=["FM2S", "A2S"], paraphrased=1.0, steps=60, **changes),
            model=tmp_path,
            folder=tmp_path / "run",
            ground=ground,
            resume=False,
        )
        return {
            row.text.removeprefix("Instruct: ").partition(" Query: ")[0]
            for batch in prepared.batches
            for row in batch
        }

    own = {one for task in read_tasks(["FM2S", "A2S"]) for one in task.paraphrases}
    by_teacher = Paraphrase(text=said, teacher="editor", ask="a")
    assert drawn(by_teacher) == own
    assert drawn(by_teacher, teacher_paraphrases=True) == {*own, said}
    with pytest.raises(UsageError, match=r"none for these tasks: .* kgkit teacher paraphrase"):
        drawn(teacher_paraphrases=True)
    leak = Paraphrase(text="Which sensors show it on a compressor?", teacher="hand", ask="b")
    with pytest.raises(ContentError, match="names compressor, which is held out"):
        drawn(leak, teacher_paraphrases=True)
