"""Which corpus a passage belongs to, by its kind. The single place that knows."""

from collections.abc import Mapping

CORPUS_OF: Mapping[str, str] = {
    "asset_sensor": "kd_base",
    "asset_failure_mode": "kd_base",
    "asset_sensor_failure_mode": "kd_base",
    "rephrase_toddler": "kd_rephrase",
    "rephrase_scholar": "kd_rephrase",
    "rephrase_wiki": "kd_rephrase",
    "rephrase_qa": "kd_rephrase",
    "qa": "kd_qa",
    "summary": "kd_qa_raft",
    "raft": "kd_qa_raft",
    "entity_role": "kd_extend",
    "entity_interaction": "kd_extend",
    "entity_summary": "kd_extend",
}
"""Kind of passage -> corpus, in the order in which the corpora are made."""

MADE_OF = frozenset(CORPUS_OF)
"""The kinds of passage that corpora are made of; descriptions of terms are in none."""

PASSAGE_CORPORA = tuple(dict.fromkeys(CORPUS_OF.values()))
"""The corpora that are made of passages, in that order."""
