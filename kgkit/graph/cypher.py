"""Tell a Cypher statement that only reads the graph from one that could do more. Pure text, no database.

The databases themselves refuse writes in a read transaction; this closes what they leave open there:
a second statement behind a `;`, reading or writing files and URLs, settings and administration.
"""

import re

from kgkit.errors import UsageError

_QUIET = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`]|``)*`|//[^\n]*|/\*.*?\*/""", re.DOTALL
)
_ESCAPED_QUOTE = re.compile(r"\\u00(?:22|27|2f|5c|60)", re.IGNORECASE)
_STARTS = ("MATCH", "OPTIONAL", "UNWIND", "WITH", "RETURN", "CALL", "EXPLAIN", "PROFILE")
_CALL = re.compile(r"(?<![.\w:$])CALL\s+(?:(\w[\w.]*)\s*(\()?)?", re.IGNORECASE)
_PROCEDURES = re.compile(
    r"db\.(?:labels|relationshipTypes|propertyKeys|schema\.\w+|index\.fulltext\.query\w+)"
    r"|show_tables|table_info|show_connection",
    re.IGNORECASE,
)
_OUTSIDE = re.compile(
    r"(?<![.\w:$])(LOAD\s+(?:FROM|WITH|CSV|EXTENSION)|COPY\s|EXPORT\s+DATABASE|IMPORT\s+DATABASE|ATTACH\s|INSTALL\s)",
    re.IGNORECASE,
)


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


def _placeholder(quiet: re.Match[str]) -> str:
    return " " if quiet.group().startswith("/") else " ` "
