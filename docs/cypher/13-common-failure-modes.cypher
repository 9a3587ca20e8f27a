// Failure modes by number of assets
// What fails everywhere.
MATCH (a:Asset)-[:EXPERIENCES]->(f:FailureMode)
RETURN f.code AS code, f.name AS failure_mode, count(a) AS assets
ORDER BY assets DESC, failure_mode
LIMIT 25;
