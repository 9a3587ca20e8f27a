// Worst risks
// By risk priority number of the FMEA rows.
MATCH (a:Asset)-[e:EXPERIENCES]->(f:FailureMode)
WHERE e.rpn IS NOT NULL
RETURN a.name AS asset, f.name AS failure_mode, e.severity AS severity, e.occurrence AS occurrence, e.rpn AS rpn
ORDER BY rpn DESC, asset, failure_mode
LIMIT 25;
