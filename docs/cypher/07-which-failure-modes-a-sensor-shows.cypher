// Which failure modes a sensor shows
// Over all assets.
// :param sensor => "vibration"
MATCH (s:Sensor {id: $sensor})-[r:RELEVANT_TO]->(f:FailureMode)
WHERE r.label = 'Yes'
RETURN r.asset AS asset, f.name AS failure_mode, r.origin AS origin
ORDER BY asset, failure_mode;
