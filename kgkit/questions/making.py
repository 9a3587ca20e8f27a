"""Turn a graph, a split and a benchmark into its questions: whose tables they ask about, and with what words."""

from collections.abc import Mapping

from kgkit.errors import UsageError
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.names import spoken
from kgkit.questions.benchmark import RELATION_OF, Benchmark
from kgkit.questions.build import AssetFacts, Built, build
from kgkit.questions.facts import Fact, Relation, facts
from kgkit.questions.wording import read_terms, read_wording
from kgkit.splits import Split


def make(
    benchmark: Benchmark,
    graph: GraphStore,
    split: Split,
    *,
    holdout: str | None = None,
    role: str | None = None,
) -> Built:
    """The questions of a benchmark about the assets of its sides of the split, or of the family `holdout` alone; `role`: of tables of this role alone.

    Raises UsageError for a family without assets, ContentError for content that is wrong.
    """
    found = {
        relation: facts(graph, relation, role=role)
        for relation in sorted({RELATION_OF[one] for one in benchmark.directions})
    }
    assets = {
        asset: one
        for asset, one in asset_facts(graph, split).items()
        if (one.family == holdout if holdout else split.side(one.name) in benchmark.sides)
    }
    if holdout and not assets:
        raise UsageError(
            f"no asset of the graph is of the family {holdout}; corpora/splits.yaml lists the families"
        )
    return build(
        benchmark,
        found,
        assets=assets,
        wording=read_wording(benchmark.language),
        terms=read_terms(benchmark.language),
    )


def asset_facts(graph: GraphStore, split: Split) -> dict[str, AssetFacts]:
    """What questions say of each asset, by id. Its discipline is its category's name, else that of its family."""
    rows = reading.assets(graph, role=None)
    family = {row.id: split.family(row.name) for row in rows}
    disciplines: dict[str, str] = {}
    for row in rows:
        if row.category:
            disciplines.setdefault(family[row.id], row.category)
    return {
        row.id: AssetFacts(
            name=spoken(row.name),
            family=family[row.id],
            discipline=row.category or disciplines.get(family[row.id], ""),
        )
        for row in rows
    }


def training_facts(
    graph: GraphStore,
    relation: Relation,
    families: Mapping[str, str],
    split: Split,
    *,
    but: frozenset[str],
) -> list[Fact]:
    """What a model may have learned from: facts about assets of no family in `but`, of tables that are not for evaluation.

    `families` by asset. The tables of families that the split holds out are for evaluation; where they are not in `but`, a model may know them.
    """

    def family(fact: Fact) -> str:
        return families.get(fact.asset, fact.asset)

    others = {*split.held_out} - but
    return [
        *(one for one in facts(graph, relation, role="source") if one.asset and family(one) not in {*but, *others}),
        *(one for one in facts(graph, relation) if one.asset and family(one) in others),
    ]  # fmt: skip
