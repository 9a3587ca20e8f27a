// Failure modes that no sensor shows
// Blind spots: the asset can fail so, and nothing that is installed would tell.
// :param asset => "pump"
MATCH (a:Asset {id: $asset})-[:EXPERIENCES]->(f:FailureMode)
WHERE NOT EXISTS { MATCH (:Sensor)-[r:RELEVANT_TO]->(f) WHERE r.asset = $asset AND r.label = 'Yes' }
RETURN f.id AS id, f.name AS failure_mode
ORDER BY failure_mode;
