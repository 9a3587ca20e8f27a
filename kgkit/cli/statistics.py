"""`stats`: passages and tokens of every corpus as tables and figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgkit.cli.output import hint_next, print_json, print_table, say
from kgkit.cli.progress import watched
from kgkit.cli.session import SEE_ALSO, options_of, reading

if TYPE_CHECKING:
    from kgkit.corpora.published import PublishedCorpora
    from kgkit.corpora.statistics import Statistics

_OPENINGS_SHOWN = 5


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog=SEE_ALSO)(stats)


def stats(
    context: typer.Context,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A model's folder with tokenizer.json. [default: SmolLM2's, bundled]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the figures go. [default: WORKSPACE/stats]"),
    ] = None,
) -> None:
    """Passages and tokens per corpus, kind, asset and split; how long, how varied, why rejected; figures.

    Example: kgkit stats --tokenizer models/llama-3.1-8b --out figures
    """
    from kgkit.corpora import figures, terms
    from kgkit.corpora.kinds import MADE_OF
    from kgkit.corpora.published import alia_corpora
    from kgkit.corpora.statistics import measure
    from kgkit.corpora.tokens import open_tokens
    from kgkit.graph.reading import passages

    options = options_of(context)
    tokens = open_tokens(tokenizer)
    with reading(options) as derivation:
        found = measure(
            watched(options, passages(derivation.graph, MADE_OF), "passages read"),
            tokens=tokens,
            split=derivation.split,
            stages=derivation.ledger.counts(),
        )
        names = terms.terms(derivation.graph, derivation.split)
    published = alia_corpora()
    drawn = figures.draw(
        found,
        published=published,
        places=terms.places(terms.sample(names)),
        names=len(names),
        folder=out or derivation.workspace.root / "stats",
    )
    if options.json:
        print_json(
            {
                **found.as_json(),
                "published": published.model_dump(),
                "names": terms.counts(names),
                "figures": [str(path) for path in drawn],
            }
        )
        return
    _say(found, published, terms.counts(names))
    if drawn:
        say(f"figures: {', '.join(path.name for path in drawn)} in {drawn[0].parent}")
    if found.counts:
        hint_next(options, "export DIR")
    else:
        hint_next(options, "expand --asset ASSET")


def _say(found: "Statistics", published: "PublishedCorpora", names: dict[str, int]) -> None:
    say(
        f"tokens counted with {found.tokenizer}, a vocabulary of {found.vocabulary:,}; split {found.split}"
    )
    if found.counts:
        _say_sizes(found, published)
        _say_texts(found)
    else:
        say("no passages yet")
    if found.rejected:
        say("\nreplies that were not accepted")
        print_table(
            ["stage", "reason", "replies"],
            [(one.stage, one.reason, f"{one.replies:,}") for one in found.rejected],
        )
    say(
        f"\nnames of assets, sensors and failure modes: {names['source']} to train on, {names['evaluation']} to "
        f"evaluate on, {names['both']} both"
    )


def _say_sizes(found: "Statistics", published: "PublishedCorpora") -> None:
    rows = []
    for corpus in found.corpora:
        paper = published.corpora.get(corpus.corpus)
        rows.append(
            (
                corpus.corpus,
                f"{corpus.passages:,}",
                f"{corpus.tokens:,}",
                f"{corpus.length(0.5):,}" if corpus.passages else "",
                f"{corpus.length(0.05):,} to {corpus.length(0.95):,}" if corpus.passages else "",
                f"{paper.passages:,}" if paper else "not reported",
                f"{paper.million_tokens:,} M" if paper else "not reported",
            )
        )
    name = published.name
    columns = ["corpus", "passages", "tokens", "median", "5 to 95 %", f"{name}: passages"]
    print_table([*columns, f"{name}: tokens ({published.tokenizer})"], rows)
    for columns in (["corpus", "kind"], ["corpus", "split"], ["asset"]):
        say("")
        print_table([*columns, "passages", "tokens"], _sums(found, columns))


def _sums(found: "Statistics", columns: Sequence[str]) -> list[tuple[str, ...]]:
    sums = found.by(*columns)
    return [(*key, f"{passages:,}", f"{tokens:,}") for key, (passages, tokens) in sums.items()]


def _say_texts(found: "Statistics") -> None:
    """How varied each corpus is, and how its passages begin."""
    measured = [corpus for corpus in found.corpora if corpus.passages]
    say("\ndifferent n-grams of tokens per n-gram; ~ is an estimate, to 0.2 % of itself")
    print_table(
        ["corpus", *(f"distinct-{one.n}" for one in measured[0].distinct)],
        [
            (
                corpus.corpus,
                *(f"{'~' if one.estimated else ''}{one.share:.4f}" for one in corpus.distinct),
            )
            for corpus in measured
        ],
    )
    say("\nmost-used openings")
    print_table(
        ["corpus", "opening", "passages", "share"],
        [
            (
                corpus.corpus,
                opening.words,
                f"{'at least ' if corpus.openings_error else ''}{opening.passages:,}",
                f"{opening.passages / corpus.passages:.1%}",
            )
            for corpus in measured
            for opening in corpus.openings[:_OPENINGS_SHOWN]
        ],
    )
