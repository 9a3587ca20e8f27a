"""Turn explained cells into choices between a right answer with its reason and a wrong one: what direct preference optimisation learns from."""

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping

from kgkit.finetune.cells import subjects
from kgkit.finetune.reasons import UNEXPLAINED, reason, told_of
from kgkit.finetune.recipe import PreferencesPart
from kgkit.finetune.rows import Row, turn
from kgkit.graph.store import GraphStore
from kgkit.questions.benchmark import RELATION_OF, read_benchmark
from kgkit.questions.wording import read_wording
from kgkit.records import digest
from kgkit.splits import Split

NO_CONTRARY = "no passage explains the contrary of another cell of its row"
"""Why a cell that is explained is left out."""


def preference_rows(
    part: PreferencesPart,
    graph: GraphStore,
    split: Split,
    *,
    seed: int,
    left_out: Counter[str],
) -> Iterator[Row]:
    """One row for each explained cell of each training asset and direction; what has no reason for or against is counted in `left_out`.

    The wrong answer is the contrary verdict with the reason of a neighbour of which that verdict is right: another cell of
    the same row of the matrix, under this cell's name.
    """
    told = told_of(graph)
    wording = read_wording(read_benchmark(part.benchmark).language)
    for direction, asset, subject in subjects(part.benchmark, graph, split):
        reasons = {
            holds: {
                option: why
                for option, cell in sorted(cells.items())
                if (why := reason(told, (asset.id, *cell), holds=holds))
            }
            for holds, cells in ((True, subject.holds), (False, subject.not_))
        }
        unexplained = len(subject.holds) + len(subject.not_) - sum(map(len, reasons.values()))
        left_out.update({UNEXPLAINED: unexplained} if unexplained else {})
        for holds, right in reasons.items():
            wrong = reasons[not holds]
            if right and not wrong:
                left_out[NO_CONTRARY] += len(right)
                continue
            for option, why in right.items():
                rng = random.Random(f"{seed}/{asset.id}/{direction}/{subject.name}/{option}")  # noqa: S311 - a draw, no secret
                said = {"asset": asset.name, "subject": subject.name, "option": option}
                stem, *_ = wording.render(direction, "select", "true-false", said)
                answers = {
                    True: f"{wording.answer} {wording.true}\n",
                    False: f"{wording.answer} {wording.false}\n",
                }
                yield Row(
                    id=digest([asset.id, direction, subject.name, option]),
                    part=part.label,
                    asset=asset.id,
                    matrix=RELATION_OF[direction] == "relevance",
                    prompt=turn("user", f"{stem}\n"),
                    completion=turn("assistant", answers[holds] + why),
                    rejected=turn(
                        "assistant", answers[not holds] + _of_another(wrong, option, rng)
                    ),
                )


def _of_another(wrong: Mapping[str, str], option: str, rng: random.Random) -> str:
    """The reason of a drawn neighbour, said of this option."""
    other = rng.choice(list(wrong))
    return re.sub(re.escape(other), lambda _: option, wrong[other], flags=re.IGNORECASE)
