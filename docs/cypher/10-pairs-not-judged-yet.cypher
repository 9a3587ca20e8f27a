// Pairs that are not judged yet
// Sensor and failure mode of one asset without a Yes or No: what `kgkit expand` would ask.
// :param asset => "pump"
MATCH (a:Asset {id: $asset})-[:MONITORED_BY]->(s:Sensor)
MATCH (a)-[:EXPERIENCES]->(f:FailureMode)
WHERE NOT EXISTS { MATCH (s)-[r:RELEVANT_TO]->(f) WHERE r.asset = $asset }
RETURN s.name AS sensor, f.name AS failure_mode
ORDER BY sensor, failure_mode;
