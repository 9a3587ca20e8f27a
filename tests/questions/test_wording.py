"""What holds for every wording of prompts/questions.*.yaml, rendered with the names of the starter tables."""

import csv
import re
from itertools import chain
from typing import Any

import pytest
import yaml
from jinja2 import meta

from kgkit import content, prompts
from kgkit.questions.wording import read_wording

VARIABLES = {
    "failure-mode-to-sensors": {"asset", "subject"},
    "sensor-to-failure-modes": {"asset", "subject"},
    "asset-to-failure-modes": {"asset"},
    "class-to-subunits": {"asset"},
    "failure-mode-to-class": {"subject"},
    "code-to-name": {"subject"},
}
TYPES = ("single", "multiple", "true-false")
LANGUAGES = ("en", "zh")
NEGATION = {"en": re.compile(r"\b(?:not|cannot)\b"), "zh": re.compile(r"不|没有|无关|无助")}
DENYING = {
    "en": {"does", "not", "help", "helps", "belong", "belongs", "stand", "stands"},
    "zh": set("有无不"),
}
WHICH_ONE = {"en": re.compile(r"\bwhich one\b", re.IGNORECASE), "zh": re.compile(r"哪一")}
DOUBLED = {
    "en": re.compile(r"\b(\w+)\s+\1\b", re.IGNORECASE),
    "zh": re.compile(r"([\u4e00-\u9fff]{2,})\1|的的|是是|了了"),
}
CELLS = [
    (language, direction, polarity, kind)
    for language in LANGUAGES
    for direction in VARIABLES
    for polarity in ("select", "eliminate")
    for kind in TYPES
]


def read(language: str) -> dict[str, Any]:
    text = content.path("prompts", f"questions.{language}.yaml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(text)
    return read


FILES = {language: read(language) for language in LANGUAGES}


def wordings(language: str, direction: str, polarity: str, kind: str) -> list[str]:
    found: list[str] = FILES[language]["stems"][direction][polarity][kind]
    return found


def names_of_the_tables() -> list[str]:
    matrices = sorted(content.path("corpora", "sources", "iso17359").glob("*.csv"))
    rows = [list(csv.reader(matrix.read_text("utf-8").splitlines())) for matrix in matrices]
    assets = [matrix.stem.replace("_", " ") for matrix in matrices]
    sensors = chain.from_iterable(table[0][1:] for table in rows)
    modes = chain.from_iterable((row[0] for row in table[1:]) for table in rows)
    return list(dict.fromkeys([*assets, *sensors, *modes, "BRD", "blowers and fans", "7 * 7"]))


NAMES = names_of_the_tables()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_cell_has_its_wordings_and_the_file_nothing_else(language: str) -> None:
    file = FILES[language]
    read_wording(language)  # strict: no field is missing, none is unknown
    assert file["language"] == language
    assert set(file["instruction"]) == set(TYPES)
    assert len(set(file["letters"])) == len(file["letters"]) == 10
    about_one = meta.find_undeclared_variables(prompts.ENVIRONMENT.parse(file["one-option"]))
    assert about_one == {"letter", "yes", "no"}
    cells = {direction: {p: set(k) for p, k in d.items()} for direction, d in file["stems"].items()}
    assert cells == {
        direction: {"select": set(TYPES), "eliminate": set(TYPES)} for direction in VARIABLES
    }


@pytest.mark.parametrize(("language", "direction", "polarity", "kind"), CELLS)
def test_a_wording_uses_exactly_the_variables_of_its_direction(
    language: str, direction: str, polarity: str, kind: str
) -> None:
    expected = VARIABLES[direction] | ({"option"} if kind == "true-false" else set())
    found = wordings(language, direction, polarity, kind)
    assert len(found) >= 4
    for wording in found:
        used = meta.find_undeclared_variables(prompts.ENVIRONMENT.parse(wording))
        assert used == expected, wording


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_and_its_denial_differ_by_the_denial_alone(language: str) -> None:
    pairs = FILES[language]["minimal-pairs"]
    assert set(pairs) == set(VARIABLES)
    for direction, (holds, fails) in pairs.items():
        for text in (holds, fails):
            used = meta.find_undeclared_variables(prompts.ENVIRONMENT.parse(text))
            assert used == VARIABLES[direction] | {"option"}, text
        wording = read_wording(language)
        names = {"asset": "pump", "subject": "unbalance", "option": "vibration"}
        said, denied = wording.minimal_pair(direction, names)
        assert NEGATION[language].search(denied)
        assert not NEGATION[language].search(said)
        words = [set(one.split() if language == "en" else one) for one in (said, denied)]
        assert words[0] ^ words[1] <= DENYING[language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_wordings_are_the_same(language: str) -> None:
    stems = FILES[language]["stems"]
    found = [
        w for cells in stems.values() for kinds in cells.values() for k in kinds.values() for w in k
    ]
    assert (
        len(found) == len({wording.casefold() for wording in found}) >= 4 * 3 * 2 * len(VARIABLES)
    )


@pytest.mark.parametrize(("language", "direction", "polarity", "kind"), CELLS)
def test_no_wording_reads_badly_with_any_name(
    language: str, direction: str, polarity: str, kind: str
) -> None:
    ends = {"en": ("?", "."), "zh": ("\uff1f", "。")}[language]
    for wording in wordings(language, direction, polarity, kind):
        assert not re.search(r'\b(?:a|an)\s+"?\{\{', wording, re.IGNORECASE), wording
        template = prompts.ENVIRONMENT.from_string(wording)
        for place, name in enumerate(NAMES):
            names = {"asset": name, "subject": NAMES[place - 1], "option": NAMES[place - 2]}
            text = template.render(names)
            assert not DOUBLED[language].search(text), text
            assert "{{" not in text
            assert text == " ".join(text.split())
            assert text.endswith(ends), text


@pytest.mark.parametrize(("language", "direction", "polarity", "kind"), CELLS)
def test_a_wording_says_no_more_than_its_cell(
    language: str, direction: str, polarity: str, kind: str
) -> None:
    for wording in wordings(language, direction, polarity, kind):
        words = re.sub(r"\{\{.*?\}\}", "", wording)
        assert bool(NEGATION[language].search(words)) == (polarity == "eliminate"), wording
        assert bool(WHICH_ONE[language].search(words)) == (kind == "single"), wording
        asks = re.search(r"[?\uff1f]|\b(?:Mark|Choose|Name|Give)\b|请", words)
        assert bool(asks) == (kind != "true-false"), wording
        assert not re.search(r"\b(?:two|three|four|five|several)\b|[两三四五]|多个", words), wording
