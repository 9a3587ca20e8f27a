// Which sensors show a failure mode
// For one asset: the sensors that are relevant to it, with the reason.
// :param asset => "pump"
// :param failure_mode => "brd"
MATCH (s:Sensor)-[r:RELEVANT_TO {asset: $asset}]->(f:FailureMode {id: $failure_mode})
WHERE r.label = 'Yes'
RETURN s.name AS sensor, r.origin AS origin, r.probability AS probability, r.reason AS reason
ORDER BY sensor;
