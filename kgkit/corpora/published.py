"""What papers report of their corpora, from evaluation/published/, to print beside one's own numbers."""

from pydantic import BaseModel, ConfigDict

from kgkit import content


class PublishedCorpus(BaseModel):
    """Passages (or question-answer pairs) and millions of tokens of one corpus."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passages: int
    million_tokens: float


class PublishedCorpora(BaseModel):
    """One paper's corpora by kgkit's name of the corpus; what the paper does not report is not there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    name: str
    source: str
    teacher: str
    tokenizer: str
    corpora: dict[str, PublishedCorpus]


def alia_corpora() -> PublishedCorpora:
    """The corpora of the ALIA paper. Raises ContentError."""
    path = content.path("evaluation", "published", "alia-corpora.yaml")
    return content.read_yaml(path, PublishedCorpora)
