"""A read-only query may read the graph and nothing else."""

import pytest

from kgkit.errors import UsageError
from kgkit.graph.cypher import check_reads_only

READS = [
    "MATCH (n:Asset) RETURN n",
    "match (n) return n;",
    "// a comment; with a semicolon\nMATCH (n) RETURN n;\n",
    "/* CREATE */ RETURN 'a; CREATE (n)' AS text, \"; COPY x\" AS y, 'it\\'s; x' AS z",
    "MATCH (n:`a; b`) RETURN n.copy, n.load, n.attach",
    "MATCH (a) CALL { MATCH (b) RETURN b } RETURN a, b",
    "CALL db.labels() YIELD label RETURN label",
    "CALL show_tables() RETURN *",
    "EXPLAIN MATCH (n) RETURN n",
    "UNWIND $rows AS row OPTIONAL MATCH (n {id: row}) RETURN n",
]
MORE = [
    "",
    "CREATE (n)",
    "COMMIT",
    "MATCH (n) RETURN n; MATCH (m) RETURN m",
    "RETURN 1; // x\n COMMIT",
    "LOAD CSV FROM 'http://127.0.0.1/' AS row RETURN row",
    "LOAD FROM '/etc/passwd' RETURN *",
    "MATCH (n) WITH n LOAD  CSV FROM 'file:///etc/passwd' AS row RETURN row",
    "MATCH (n) WITH n LOAD FROM '/etc/passwd' RETURN *",
    "COPY (MATCH (n) RETURN n) TO '/tmp/x.csv'",
    "EXPLAIN COPY (MATCH (n) RETURN n) TO '/tmp/x.csv'",
    "CALL threads=1",
    "CALL dbms.setConfigValue('a', 'b')",
    "CALL apoc.load.json('http://127.0.0.1/')",
    "MATCH (n) CALL apoc.load.json('x') YIELD value RETURN value",
    "INSTALL json",
    "ATTACH 'other' AS other (dbtype lbug)",
    "USE system SHOW USERS",
    "DROP TABLE Asset",
    r"RETURN 'a\u0027 AS x LOAD CSV FROM \u0027http://127.0.0.1/' AS row",
]


@pytest.mark.parametrize("cypher", READS)
def test_reading_is_allowed(cypher: str):
    check_reads_only(cypher)


@pytest.mark.parametrize("cypher", MORE)
def test_what_does_more_is_refused(cypher: str):
    with pytest.raises(UsageError, match="query: "):
        check_reads_only(cypher)
