"""Turn prompts/questions.LANGUAGE.yaml and corpora/terms-LANGUAGE.csv into the words of a question. Strict, like prompts."""

import csv
from collections.abc import Mapping
from functools import cache, cached_property

from jinja2 import Template, TemplateError
from pydantic import BaseModel, ConfigDict, Field

from kgkit import content
from kgkit.errors import ContentError
from kgkit.names import normal_form
from kgkit.prompts import ENVIRONMENT
from kgkit.records import Polarity, QuestionType


class Wording(BaseModel):
    """The words of one language: stems with their paraphrases, sentences with their denials, letters, true and false, how to answer, and what an asset is called where it is not named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    language: str
    letters: str
    true: str
    false: str
    yes: str
    no: str
    instruction: dict[QuestionType, str]
    one_option: str = Field(alias="one-option")
    answer: str
    unnamed: str
    minimal_pairs: dict[str, tuple[str, str]] = Field(alias="minimal-pairs", default_factory=dict)
    stems: dict[str, dict[Polarity, dict[QuestionType, list[str]]]] = Field(min_length=1)

    def about_option(self, letter: str) -> str:
        """The instruction that asks about one option alone."""
        words = {"letter": letter, "yes": self.yes, "no": self.no}
        return ENVIRONMENT.from_string(self.one_option).render(words)

    def minimal_pair(self, direction: str, names: Mapping[str, str]) -> tuple[str, str]:
        """The sentence that a fact holds, and the one that it does not; `names` as for `render`. Raises ContentError."""
        at = f"prompts/questions.{self.language}.yaml: minimal-pairs.{direction}"
        if direction not in self._pairs:
            raise ContentError(f"{at} is missing")
        try:
            holds, fails = (template.render(names) for template in self._pairs[direction])
        except TemplateError as error:
            raise ContentError(f"{at}: {error}") from None
        return holds, fails

    def render(
        self,
        direction: str,
        polarity: Polarity,
        type_: QuestionType,
        names: Mapping[str, str],
    ) -> tuple[str, ...]:
        """All wordings of a question, the plain one first; `names` are asset, subject and, for a statement, option."""
        try:
            return tuple(
                template.render(names) for template in self._templates(direction, polarity, type_)
            )
        except TemplateError as error:
            raise ContentError(
                f"prompts/questions.{self.language}.yaml: stems.{direction}.{polarity}.{type_}: {error}"
            ) from None

    def _templates(self, direction: str, polarity: Polarity, type_: QuestionType) -> list[Template]:
        key = (direction, polarity, type_)
        if key not in self._compiled:
            raise ContentError(
                f"prompts/questions.{self.language}.yaml: stems.{direction}.{polarity}.{type_} is missing"
            )
        return self._compiled[key]

    @cached_property
    def _pairs(self) -> dict[str, list[Template]]:
        return {
            direction: [ENVIRONMENT.from_string(text) for text in pair]
            for direction, pair in self.minimal_pairs.items()
        }

    @cached_property
    def _compiled(self) -> dict[tuple[str, str, str], list[Template]]:
        return {
            (direction, polarity, type_): [ENVIRONMENT.from_string(text) for text in texts]
            for direction, polarities in self.stems.items()
            for polarity, types in polarities.items()
            for type_, texts in types.items()
        }


@cache
def read_wording(language: str) -> Wording:
    """The wording of a language. Raises ContentError."""
    return content.read_yaml(content.path("prompts", f"questions.{language}.yaml"), Wording)


@cache
def read_terms(language: str) -> Mapping[str, str] | None:
    """Normal form of an English term -> the term in `language`; None for English, which needs none. Raises ContentError."""
    if language == "en":
        return None
    path = content.path("corpora", f"terms-{language}.csv")
    lines = csv.DictReader(content.text_of(path).splitlines())
    if not {"term", language} <= set(lines.fieldnames or ()):
        raise ContentError(f"{path}: needs the columns term and {language}")
    return {normal_form(line["term"]): line[language] for line in lines}


def told(name: str, terms: Mapping[str, str] | None) -> str | None:
    """`name` in the language of `terms`, None where they do not have it."""
    return name if terms is None else terms.get(normal_form(name))
