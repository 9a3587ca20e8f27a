"""A mixture holds every part in its share, within the budget, drawn by seed alone."""

import json
from collections import Counter
from pathlib import Path

import pytest

from kgkit.errors import UsageError
from kgkit.finetune.counted import Length
from kgkit.finetune.mixture import mix, write
from kgkit.finetune.recipe import GeneralPart, Stage
from kgkit.finetune.recipe_files import find, read_recipe
from kgkit.finetune.rows import Row, turn


def stage(*shares: float | None, tokens: int | None = None) -> Stage:
    base = read_recipe(find("small-sft")).stages[0]
    data = [
        GeneralPart(source="general", form="text", path=None, rows=None, share=share)
        for share in shares
    ]
    return base.model_copy(update={"data": data, "tokens": tokens})


def texts(part: str, count: int, words: int = 10) -> list[Row]:
    return [
        Row(id=f"{part}{at}", part=part, text=" ".join([f"{part}{at}"] * words))
        for at in range(count)
    ]


def words(row: Row) -> Length:
    return Length(len(row.words.split()), cut=False)


def test_parts_without_a_share_are_taken_whole_and_once() -> None:
    mixed = mix(stage(None, None), [texts("a", 30), texts("b", 20)], count=words, seed=0)
    assert Counter(row.id for row, _ in mixed) == Counter(
        row.id for row in [*texts("a", 30), *texts("b", 20)]
    )
    assert all(length.tokens == 10 for _, length in mixed)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_part_has_its_share_of_all_tokens_drawn_again_if_it_must_be(share: float) -> None:
    mixed = mix(stage(None, share), [texts("a", 300), texts("b", 7)], count=words, seed=0)
    tokens = Counter[str]()
    for row, length in mixed:
        tokens[row.part] += length.tokens
    assert tokens["a"] == 3000
    assert tokens["b"] / tokens.total() == pytest.approx(share, abs=0.01)
    drawn = Counter(row.id for row, _ in mixed if row.part == "b")
    assert max(drawn.values()) - min(drawn.values()) <= 1


def test_a_budget_holds_for_all_parts_together() -> None:
    mixed = mix(
        stage(None, 0.25, tokens=400), [texts("a", 300), texts("b", 9)], count=words, seed=0
    )
    tokens = Counter[str]()
    for row, length in mixed:
        tokens[row.part] += length.tokens
    assert tokens == {"a": 300, "b": 100}


def test_the_seed_alone_draws() -> None:
    parts = [texts("a", 50), texts("b", 50)]
    one, same, other = (mix(stage(None, 0.3), parts, count=words, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert one != sorted(one, key=lambda pair: pair[0].id)


@pytest.mark.parametrize(
    ("shares", "tokens", "said"),
    [
        ((0.5, 0.5), None, "must be 1 in all, of a number of `tokens`"),
        ((0.5, 0.3), 100, "must be 1 in all"),
        ((None, 0.6, 0.5), None, "leave nothing to the others"),
    ],
)
def test_shares_that_do_not_add_up_are_refused(
    shares: tuple[float | None, ...], tokens: int | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        mix(stage(*shares, tokens=tokens), [texts("a", 3)] * len(shares), count=words, seed=0)


def test_texts_and_chats_are_not_mixed_and_a_part_has_rows() -> None:
    chats = [Row(id="c", part="c", prompt=turn("user", "a"), completion=turn("assistant", "b"))]
    with pytest.raises(UsageError, match="mixes texts with chats"):
        mix(stage(None, None), [texts("a", 3), chats], count=words, seed=0)
    with pytest.raises(UsageError, match="mixes texts with chats"):
        mix(stage(None), [[*texts("a", 3), *chats]], count=words, seed=0)
    with pytest.raises(UsageError, match="its part general: Python's reference has no row"):
        mix(stage(None), [[]], count=words, seed=0)


def test_a_part_without_a_row_says_what_was_left_out_of_it() -> None:
    one = stage(None)
    missing = {one.data[0].label: {"tells a cell of a sensor matrix": 7}}
    with pytest.raises(UsageError, match="left out: tells a cell of a sensor matrix 7"):
        mix(one, [[]], count=words, seed=0, left_out=missing)


@pytest.mark.parametrize("share", [None, 0.4])
def test_a_part_whose_questions_fill_the_context_is_refused(share: float | None) -> None:
    """Drawn from again and again, it would never have its share."""

    def count(row: Row) -> Length:
        return words(row) if row.part == "a" else Length(0, cut=True)

    with pytest.raises(UsageError, match="alone fill the context"):
        mix(stage(None, share), [texts("a", 3), texts("b", 3)], count=count, seed=0)


def test_what_is_written_is_what_a_trainer_reads(tmp_path: Path) -> None:
    chat = Row(id="c", part="c", prompt=turn("user", "a?"), completion=turn("assistant", "b"))
    whole, cut = Length(2, cut=False), Length(2, cut=True)
    found = write([(chat, whole), (chat, cut)], tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert (
        lines
        == [
            {
                "prompt": [{"role": "user", "content": "a?"}],
                "completion": [{"role": "assistant", "content": "b"}],
            }
        ]
        * 2
    )
    assert (found.rows, found.tokens, found.cut) == ({"c": 2}, {"c": 4}, {"c": 1})
    assert write([(chat, whole), (chat, cut)], tmp_path).sha256 == found.sha256
    assert write([(chat, whole)], tmp_path).sha256 != found.sha256


def test_another_mixture_does_not_take_the_place_of_one_that_is_there(tmp_path: Path) -> None:
    one, other = ([(row, words(row)) for row in texts(part, 3)] for part in "ab")
    first = write(one, tmp_path)
    kept = (tmp_path / "train.jsonl").read_bytes()
    with pytest.raises(UsageError, match="the workspace has changed since this run began"):
        write(other, tmp_path, before=first.sha256)
    assert (tmp_path / "train.jsonl").read_bytes() == kept
    assert write(one, tmp_path, before=first.sha256) == first
