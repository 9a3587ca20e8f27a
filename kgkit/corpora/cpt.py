"""The corpus for continued pre-training: one `text` column out of all passage corpora, within a budget of tokens.

Ids are digests, so the order of ids is a fair shuffle: passages are taken in it, all corpora merged, until the budget is
spent. A larger budget takes what a smaller one took, and more.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from kgkit.corpora.kinds import CORPUS_OF
from kgkit.corpora.passages import TEXT, kinds_of
from kgkit.corpora.row import PassageCorpus
from kgkit.corpora.tokens import Tokens
from kgkit.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    _Mask: TypeAlias = npt.NDArray[np.bool_]
    _Counts: TypeAlias = npt.NDArray[np.int64]

SOURCES = ("kd_base", "kd_rephrase", "kd_qa", "kd_extend")
"""The corpora that it may be made of."""
OVER_BUDGET = "over the budget"
NOT_IN_MIX = "not in the mix"
_TEXTS_AT_ONCE = 500


def cpt(
    *,
    tokens: int | None = None,
    mix: Mapping[str, float] | None = None,
    tokenizer: Tokens | None = None,
) -> PassageCorpus:
    """The corpus of all of SOURCES, or of those in `mix`.

    With `tokens`, training rows are taken until their tokens reach it; `mix` gives each corpus its share (weights, of
    any sum). A corpus that has not enough gives all it has, once. Rows for validation are not budgeted.
    Raises UsageError for a corpus that is none of SOURCES, a weight that is not above 0, `mix` without `tokens`, `tokens`
    without a tokenizer.
    """
    mix = mix or {}
    for name, weight in mix.items():
        if name not in SOURCES:
            raise UsageError(f"--mix {name}: choose from {', '.join(SOURCES)}")
        if not 0 < weight < float("inf"):
            raise UsageError(f"--mix {name}={weight:g}: a weight is a number above 0")
    if mix and tokens is None:
        raise UsageError("--mix shares out a budget: give --tokens with it")
    if tokens is not None and tokenizer is None:
        raise UsageError("a budget of tokens needs a tokenizer that counts them")
    # purse -> tokens: one for all corpora, or one for each
    purses = (
        {name: tokens * mix[name] / sum(mix.values()) for name in SOURCES if name in mix}
        if tokens is not None and mix
        else {"": float("inf") if tokens is None else float(tokens)}
    )

    def begin(left_out: Counter[str]) -> Callable[["pa.Table"], "pa.Table"]:
        left = dict(purses)
        return lambda page: _within(page, left, tokenizer, left_out)

    return PassageCorpus(
        name="cpt",
        summary="one text column for continued pre-training, out of the corpora in `corpus`",
        columns={
            "id": "string",
            "text": "string",
            "tokens": "integer",
            "corpus": "string",
            **{name: type_ for name, type_ in TEXT.items() if name not in ("id", "text")},
        },
        kinds=frozenset().union(*map(kinds_of, SOURCES)),
        begin=begin,
    )


def _within(
    page: "pa.Table", left: dict[str, float], tokenizer: Tokens | None, left_out: Counter[str]
) -> "pa.Table":
    """A page's rows: those for training while their purse has tokens `left`; those for validation as they are."""
    import numpy as np
    import pyarrow as pa

    rows = _in_mix(_with_text(page), left, left_out)
    if tokenizer is None:
        return rows.append_column("tokens", pa.nulls(rows.num_rows, pa.int64()))
    training = _equal(rows, "split", "train")
    counts = np.zeros(rows.num_rows, np.int64)
    kept = ~training
    counts[kept] = _counted(rows, kept, tokenizer)
    for purse in left:
        wanted = training & _equal(rows, "corpus", purse) if purse else training
        if left[purse] <= 0:  # nothing more is counted of what is not taken anyway
            continue
        counts[wanted] = _counted(rows, wanted, tokenizer)
        spent_before = np.cumsum(counts[wanted]) - counts[wanted]
        taken = spent_before < left[purse]
        left[purse] -= int(counts[wanted][taken].sum())
        kept[np.flatnonzero(wanted)[taken]] = True
    if not kept.all():
        left_out[OVER_BUDGET] += int((~kept).sum())
    return rows.append_column("tokens", pa.array(counts)).filter(pa.array(kept))


def _in_mix(rows: "pa.Table", purses: Mapping[str, float], left_out: Counter[str]) -> "pa.Table":
    """The rows, for training and for validation, of corpora that have a purse; all where there is one for all."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "" in purses:
        return rows
    shared = rows.filter(pc.is_in(rows.column("corpus"), pa.array(list(purses), pa.string())))
    if shared.num_rows < rows.num_rows:
        left_out[NOT_IN_MIX] += rows.num_rows - shared.num_rows
    return shared


def _with_text(page: "pa.Table") -> "pa.Table":
    """The page with its corpus, and with the question in the text of a question's answer."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = page.column("kind").combine_chunks().dictionary_encode()
    corpora = pa.array([CORPUS_OF[name] for name in kind.dictionary.to_pylist()], pa.string())
    said = pc.binary_join_element_wise(
        "Question: ", page.column("question"), "\nAnswer: ", page.column("text"), ""
    )
    asked = pc.not_equal(page.column("question"), "")
    text = pc.if_else(asked, said, page.column("text"))
    at = page.schema.get_field_index("text")
    return page.set_column(at, "text", text).append_column("corpus", corpora.take(kind.indices))


def _equal(rows: "pa.Table", column: str, value: str) -> "_Mask":
    import pyarrow.compute as pc

    found: _Mask = pc.equal(rows.column(column), value).to_numpy()
    return found


def _counted(rows: "pa.Table", wanted: "_Mask", tokenizer: Tokens) -> "_Counts":
    """The tokens of each row that is wanted."""
    import numpy as np
    import pyarrow as pa

    texts = rows.column("text").filter(pa.array(wanted))
    counts: list[int] = []
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        batch = texts.slice(start, _TEXTS_AT_ONCE).to_pylist()
        counts += [len(ids) for ids in tokenizer.ids(batch)]
    return np.array(counts, np.int64)
