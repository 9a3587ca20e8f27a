// Relevance matrix of an asset
// Every judged pair of sensor and failure mode: the long form of the ISO 17359 table.
// :param asset => "pump"
MATCH (s:Sensor)-[r:RELEVANT_TO {asset: $asset}]->(f:FailureMode)
RETURN f.name AS failure_mode, s.name AS sensor, r.label AS label, r.origin AS origin
ORDER BY failure_mode, sensor;
