// Assets that fail alike
// Other assets that share failure modes with this one.
// :param asset => "pump"
MATCH (a:Asset {id: $asset})-[:EXPERIENCES]->(f:FailureMode)<-[:EXPERIENCES]-(other:Asset)
WHERE other.id <> $asset
RETURN other.name AS asset, count(f) AS shared
ORDER BY shared DESC, asset
LIMIT 20;
