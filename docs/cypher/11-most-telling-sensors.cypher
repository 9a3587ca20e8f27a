// Most telling sensors of an asset
// By the number of failure modes that they show.
// :param asset => "pump"
MATCH (s:Sensor)-[r:RELEVANT_TO {asset: $asset}]->(f:FailureMode)
WHERE r.label = 'Yes'
RETURN s.name AS sensor, count(f) AS failure_modes
ORDER BY failure_modes DESC, sensor;
