// Where a fact comes from
// The table cells, or the ask, behind each relevance judgement of an asset.
// :param asset => "pump"
MATCH (s:Sensor)-[r:RELEVANT_TO {asset: $asset}]->(f:FailureMode)
RETURN s.name AS sensor, f.name AS failure_mode, r.label AS label, r.sources AS cells, r.ask AS ask
ORDER BY sensor, failure_mode;
