"""Check a Cypher statement and its parameters before a database sees them. Pure text, no database.

A statement that only reads is told from one that could do more. The databases themselves refuse writes in a read transaction; this closes what they leave open there:
a second statement behind a `;`, reading or writing files and URLs, settings and administration.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

from kgkit.errors import UsageError

_Parameter = TypeVar("_Parameter")
_QUIET = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`]|``)*`|//[^\n]*|/\*.*?\*/""", re.DOTALL
)
_ESCAPED_QUOTE = re.compile(r"\\u00(?:22|27|2f|5c|60)", re.IGNORECASE)
_STARTS = ("MATCH", "OPTIONAL", "UNWIND", "WITH", "RETURN", "CALL", "EXPLAIN", "PROFILE")
_PARAMETER = re.compile(r"\$(\w+)")
_CALL = re.compile(r"(?<![.\w:$])CALL\s+(?:(\w[\w.]*)\s*(\()?)?", re.IGNORECASE)
_PROCEDURES = re.compile(
    r"db\.(?:labels|relationshipTypes|propertyKeys|schema\.\w+|index\.(?:fulltext|vector)\.query\w+)"
    r"|show_tables|table_info|show_connection",
    re.IGNORECASE,
)
_OUTSIDE = re.compile(
    r"(?<![.\w:$])(LOAD\s+(?:FROM|WITH|CSV|EXTENSION)|COPY\s|EXPORT\s+DATABASE|IMPORT\s+DATABASE|ATTACH\s|INSTALL\s)",
    re.IGNORECASE,
)


def checked(
    cypher: str, parameters: Mapping[str, _Parameter] | None, *, write: bool
) -> dict[str, _Parameter]:
    """The parameters for a statement that may run: with `write` any, else one that only reads. Raises UsageError."""
    given = dict(parameters or {})
    if not write:
        check_reads_only(cypher)
    check_parameters(cypher, given)
    return given


def check_reads_only(cypher: str) -> None:
    """Raise UsageError unless `cypher` is one statement that reads the graph and nothing else."""
    if _ESCAPED_QUOTE.search(cypher):  # Neo4j reads it as the quote itself, wherever it stands
        raise UsageError("query: a quote is written as \\uXXXX; hand the text over as a parameter")
    text = _QUIET.sub(_placeholder, cypher).strip().rstrip(";").strip()
    if ";" in text:
        raise UsageError("query: more than one statement; run them one by one")
    first = re.match(r"\w*", text)
    word = first.group().upper() if first else ""
    if word not in _STARTS:
        raise UsageError(
            f"query: a read-only query starts with one of {', '.join(_STARTS)}, not {word or text[:20]!r}; "
            "to change the graph add --write"
        )
    if found := _OUTSIDE.search(text):
        raise UsageError(
            f"query: {found.group().strip().upper()} reaches outside the graph; to allow it add --write"
        )
    for call in _CALL.finditer(text):
        name, opens = call.groups()
        if name and not (opens and _PROCEDURES.fullmatch(name)):
            raise UsageError(
                f"query: CALL {name} is not a known reading procedure; to allow it add --write"
            )


def check_parameters(cypher: str, parameters: Mapping[str, object]) -> None:
    """Raise UsageError where a database would take something else for what was meant, without a word.

    Ladybug takes a missing parameter for null, and gives the maps of a list the names of the last one.
    """
    asked = _PARAMETER.findall(_QUIET.sub(_placeholder, cypher))
    if missing := sorted(set(asked) - set(parameters)):
        raise UsageError(
            f"query: parameter ${missing[0]} has no value; add --param {missing[0]}=..."
        )
    for name, value in parameters.items():
        maps = (
            [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
        )
        if any(item.keys() != maps[0].keys() for item in maps):
            raise UsageError(f"query: the maps of parameter ${name} have different names")


def _placeholder(quiet: re.Match[str]) -> str:
    return " " if quiet.group().startswith("/") else " ` "
