// Table against teacher
// How many relevance judgements come from where, and how many are Yes.
MATCH (s:Sensor)-[r:RELEVANT_TO]->(f:FailureMode)
RETURN r.origin AS origin, r.label AS label, count(r) AS pairs
ORDER BY origin, label;
