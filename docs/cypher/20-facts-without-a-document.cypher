// Facts without a document
// Yes pairs that no passage describes yet.
// :param asset => "pump"
MATCH (s:Sensor)-[r:RELEVANT_TO {asset: $asset}]->(f:FailureMode)
WHERE r.label = 'Yes'
OPTIONAL MATCH (p:Passage {asset: $asset, sensor: s.id, failure_mode: f.id})
WITH s, f, count(p) AS passages
WHERE passages = 0
RETURN s.name AS sensor, f.name AS failure_mode
ORDER BY sensor, failure_mode;
