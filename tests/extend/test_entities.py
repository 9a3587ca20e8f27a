"""What of a reply about entities is taken, which pairs are asked, and that the reference teacher passes its own checks."""

import json
from collections import Counter
from itertools import combinations

import pytest

from kgkit.extend import entity_names as names
from kgkit.extend.documents import Document
from kgkit.extend.entities import Entity, _from_lines, usable_entities
from kgkit.extend.explain import Mentioned
from kgkit.extend.interactions import Neighbourhood, Ranking
from kgkit.extend.resolve import LEAST_JACCARD, _candidates, _jaccard, _kinds, _trigrams
from kgkit.graph.entities import Called, Named
from kgkit.records import NodeKey
from kgkit.stages import BadReply
from tests.scopes import SCOPE

TEXT = "Vibration of the pump shows damaged seals early. A compressor has bearings. Loose bolts and resonance matter too."


def document(id_: str = "d", text: str = TEXT) -> Document:
    return Document(
        id=id_,
        text=text,
        scope=SCOPE,
        sensor="vibration",
        failure_mode="damaged-seal",
        names={"asset": "pump", "sensor": "vibration", "failure mode": "damaged seals"},
        verdict="Yes",
    )


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("Damaged Seal", "failure mode", None),
        ("vibration sensors", "sensor", None),
        ("vibration sensors", "concept", "unsupported"),
        ("damaged bolts", "failure mode", "unsupported"),
        ("impeller", "concept", "unsupported"),
        ("Compressors", "asset", "other asset"),
        ("failure modes", "concept", "wrong shape"),
        ("A", "asset", "wrong shape"),
        ("12 7", "concept", "wrong shape"),
        ("and the", "concept", "wrong shape"),
        (" ".join(TEXT.split()[:9]), "concept", "wrong shape"),
    ],
)
def test_an_entity_names_something_that_the_document_speaks_of(
    name: str, kind: str, reason: str | None
) -> None:
    one = Entity(name=names.clean(name), kind=kind)
    kept, dropped = usable_entities([one], document())
    assert (kept, dropped) == (([], Counter([reason])) if reason else ([one], Counter()))


def test_of_one_id_the_first_counts_and_the_eleventh_is_too_many() -> None:
    words = [f"part{letter}" for letter in "abcdefghijkl"]
    listed = [Entity(name=word, kind="concept") for word in [words[0], "Parta", *words[1:]]]
    kept, dropped = usable_entities(listed, document(text=" ".join(words)))
    assert kept == [Entity(name=word, kind="concept") for word in words[:10]]
    assert dropped == Counter({"duplicate": 1, "too many": 2})


def test_a_plain_reply_is_a_summary_above_a_list() -> None:
    reply = "Summary: It says so.\n\n1. the **pump** (Assets)\n2. oil debris (particles)\n- seals (failure_mode)"
    assert _from_lines(reply) == (
        "It says so.",
        [
            Entity(name="pump", kind="asset"),
            Entity(name="oil debris (particles)", kind="concept"),
            Entity(name="seals", kind="failure mode"),
        ],
    )
    headed = "**Summary:** It says so.\n\n**Key entities:**\n1. **pump** (asset)\n* **oil debris** (sensor)"
    assert _from_lines(headed) == (
        "It says so.",
        [Entity(name="pump", kind="asset"), Entity(name="oil debris", kind="sensor")],
    )
    for bad in ("1. pump (asset)", "Just a summary."):
        with pytest.raises(BadReply, match="wrong shape"):
            _from_lines(bad)


def test_ids_are_shared_by_all_spellings() -> None:
    assert names.entity_id("Vib. sensors (casing)", "sensor") == "vibration"
    assert names.entity_id("Plugged / choked", "failure mode") == "plugged-choked"
    assert names.canonical_name("plugged-choked") == "plugged choked"


def ranking(documents: dict[str, list[str]]) -> tuple[Ranking, dict[str, Entity]]:
    entities = {
        name: Entity(name=name, kind="concept") for listed in documents.values() for name in listed
    }
    nodes = [("Asset", "pump"), ("Sensor", "vibration"), ("FailureMode", "unbalance")]
    keys = [NodeKey(label=label, id=id_) for label, id_ in nodes]
    around = Neighbourhood(
        asset=keys[0],
        names=names.Names.of(
            Named(key=key, name=key.id, code="PU" if key.label == "Asset" else "", aliases=())
            for key in keys
        ),
        relevant=frozenset([frozenset(keys[1:])]),
    )
    mentioned = [
        Mentioned(document=document(id_), entities=tuple(entities[name] for name in listed))
        for id_, listed in documents.items()
    ]
    return Ranking(mentioned, around), entities


def best(
    documents: dict[str, list[str]], id_: str, most: int | None = None
) -> list[tuple[str, str]]:
    ranked, entities = ranking(documents)
    pairs = ranked.best([entities[name] for name in documents[id_]], most=most)
    return [(one.name, other.name) for one, other in pairs]


def test_an_entity_is_what_most_documents_call_it() -> None:
    def of(entity: str, **kinds: int) -> list[Called]:
        return [
            Called(entity=entity, name=entity, kind=kind, documents=count)
            for kind, count in kinds.items()
        ]

    called = [*of("wear", concept=2, mechanism=3), *of("oil", sensor=1, concept=1)]
    assert _kinds(called) == _kinds(called[::-1]) == {"wear": "mechanism", "oil": "concept"}


def test_pairs_that_are_linked_rare_and_often_together_come_first() -> None:
    alone = {"a": ["unbalance", "vibration", "resonance"]}
    assert best(alone, "a")[0] == ("unbalance", "vibration")
    rare = {
        "a": ["grease", "bolts", "dirt"],
        "b": ["grease", "dirt"],
        "c": ["grease"],
        "d": ["dirt", "grease"],
    }
    assert best(rare, "a") == [("dirt", "grease"), ("bolts", "dirt"), ("bolts", "grease")]
    assert best(rare, "a", most=1) == [("dirt", "grease")]


def test_the_order_of_documents_and_entities_ranks_nothing() -> None:
    documents = {
        "a": ["dirt", "grease", "bolts", "pump"],
        "b": ["grease", "pump"],
        "c": ["vibration"],
    }
    turned = {id_: documents[id_][::-1] for id_ in reversed(documents)}
    assert best(documents, "a") == best(turned, "a")
    assert len(best(documents, "a")) == 6


def test_two_names_of_one_node_are_no_pair() -> None:
    assert best({"a": ["pump", "PU"]}, "a") == []


def test_minhash_loses_no_pair_of_near_duplicates() -> None:
    words = [
        "bearing",
        "seal",
        "damage",
        "wear",
        "leakage",
        "misalignment",
        "impeller",
        "temperature",
        "lubrication",
        "cavitation",
    ]
    plain = [f"{one} {other}" for one in words for other in words]
    spelled = [
        *plain,
        *(name.replace("a", "aa", 1) for name in plain),
        *(f"{name}s" for name in plain),
    ]
    grams = {name: _trigrams(name) for name in sorted(set(spelled))}
    wanted = {
        (one, other)
        for one, other in combinations(grams, 2)
        if _jaccard(grams[one], grams[other]) >= LEAST_JACCARD
    }
    found = {tuple(sorted(pair)) for pair in _candidates(grams)}
    assert len(wanted) > 200
    assert wanted <= found


def test_names_of_the_schema_are_those_of_the_checks() -> None:
    from kgkit.prompts import read_prompt

    schema = json.loads(json.dumps(read_prompt("entities").schema))
    listed = schema["properties"]["entities"]
    assert set(listed["items"]["properties"]["kind"]["enum"]) == set(names.KINDS)
    assert (listed["minItems"], listed["maxItems"]) == (3, 10)
