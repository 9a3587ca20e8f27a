"""Names of entities: cleaned, comparable, kept from what names nothing. Pure."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from kgkit.expand.scope import Scope
from kgkit.graph.entities import Named
from kgkit.names import normal_form, plain, sensor_form, slug, word_forms

KINDS = ("asset", "failure mode", "sensor", "concept")
MAX_WORDS = 8
_ARTICLE = re.compile(r"^(?:the|an?)\s+(?=\S)", re.IGNORECASE)
_NO_ENTITIES = frozenset(
    [
        "analysis", "answer", "article", "asset", "change", "component", "concept", "condition", "device", "document",
        "entity", "equipment", "example", "failure", "failure mode", "list", "loaded table", "measurement", "mode",
        "n a", "name", "none", "not applicable", "other", "paragraph", "parameter", "part", "reading", "sensor",
        "sensor or parameter", "summary", "system", "table", "text", "thing", "unknown", "value",
        "a", "an", "the", "also", "but", "than", "there", "it", "its", "this", "that", "these", "those", "they", "them", "and", "or", "of", "in", "on", "for", "with",
        "is", "are", "be", "as", "at", "by", "to", "from", "which", "what", "when", "such", "one", "all", "some",
    ]
)  # fmt: skip
"""Words that name nothing in particular: those for the kinds themselves, and stop words."""


def clean(name: str) -> str:
    """The name on one line without list marks, quotes and a leading article."""
    bare = " ".join(re.sub(r"[*`\"]", "", name).split()).strip(" .,;:'-")
    return _ARTICLE.sub("", bare)


def kind_of(said: str) -> str:
    """The kind that `said` means: `Failure_modes` -> `failure mode`; `concept` for what is none of them."""
    form = _kind_form(said)
    return form if form in KINDS else "concept"


def is_kind(said: str) -> bool:
    """Whether `said` is one of the kinds, in singular or plural."""
    return _kind_form(said) in KINDS


def _kind_form(said: str) -> str:
    return normal_form(said.replace("_", " "))


def entity_id(name: str, kind: str) -> str:
    """Id of an entity: `Damaged Seals` -> `damaged-seal`; of a sensor that of the sensor, `Vib. sensor` -> `vibration`."""
    return slug(sensor_form(name) if kind == "sensor" else normal_form(name))


def canonical_name(id_: str) -> str:
    """The one name of an Entity node, whatever the documents call it: a function of its id."""
    return id_.replace("-", " ")


def is_debris(name: str, kind: str) -> bool:
    """Whether the name names nothing: no letters, one letter, too many words, mostly numbers, a stop word."""
    words = re.findall(r"[^\W_]+", plain(name))
    form = canonical_name(entity_id(name, kind))
    return (
        sum(letter.isalpha() for letter in name) < 2
        or not 0 < len(words) <= MAX_WORDS
        or 2 * sum(word.isdigit() for word in words) > len(words)
        or form in _NO_ENTITIES
        or all(word in _NO_ENTITIES for word in form.split(" "))
    )


def stands_in(name: str, kind: str, document: str) -> bool:
    """Whether `document`, as `word_forms` makes it, has the name word by word, in singular or plural.

    Of a sensor its form is enough: a `vibration sensor` stands in a document on vibration.
    """
    forms = {word_forms(name)} | ({word_forms(sensor_form(name))} if kind == "sensor" else set())
    return any(form.strip() and form in document for form in forms)


def names_held_out(name: str, kind: str, scope: Scope) -> bool:
    """Whether the name, as written or as its node has it, holds that of a held-out asset."""
    forms = (name, canonical_name(entity_id(name, kind)))
    return any(scope.held_out_pattern.search(form) for form in forms)


@dataclass(slots=True)
class Names:
    """Nodes by what people call them: exactly, normalised, by an alias or a class code."""

    _exact: dict[str, set[int]] = field(default_factory=dict)
    _normalised: dict[str, set[int]] = field(default_factory=dict)
    _alias: dict[str, set[int]] = field(default_factory=dict)
    _nodes: list[Named] = field(default_factory=list)

    @classmethod
    def of(cls, nodes: Iterable[Named]) -> "Names":
        """An index of these nodes."""
        index = cls()
        for place, node in enumerate(nodes):
            index._nodes.append(node)
            index._exact.setdefault(plain(node.name), set()).add(place)
            for form in _forms(node.name, node.key.label):
                index._normalised.setdefault(form, set()).add(place)
            for alias in node.aliases:
                for form in _forms(alias, node.key.label):
                    index._alias.setdefault(form, set()).add(place)
            if len(node.code) > 1:
                index._alias.setdefault(f"code {node.code}", set()).add(place)
        return index

    def same_as(self, id_: str, written: Collection[str]) -> list[tuple[Named, str]]:
        """The nodes that an entity with this id is, written as `written` in documents, each with how that is known.

        `exact`: a document writes the node's own name; else `normalised`: but for case, plural, brackets, the word
        sensor and such; else `alias`: as an alias or a class code. In the order of the nodes.
        """
        steps = (
            ("exact", self._exact, [plain(name) for name in written]),
            ("normalised", self._normalised, [id_]),
            ("alias", self._alias, [id_, *(f"code {name}" for name in written)]),
        )
        found: dict[int, str] = {}
        for how, index, forms in steps:
            for form in forms:
                for place in index.get(form, ()):
                    found.setdefault(place, how)
        return [(self._nodes[place], found[place]) for place in sorted(found)]


def _forms(name: str, label: str) -> set[str]:
    """The ids that an entity of this name can have."""
    if not plain(name):
        return set()
    return {entity_id(name, "sensor" if label == "Sensor" else "concept")}
