// Failure modes of an asset
// With the examples that the tables give for this asset.
// :param asset => "pump"
MATCH (a:Asset {id: $asset})-[e:EXPERIENCES]->(f:FailureMode)
RETURN f.code AS code, f.name AS failure_mode, e.examples AS examples, e.origin AS origin
ORDER BY failure_mode;
