// Doubtful judgements
// Where the votes were split or the probability of Yes was near one half.
MATCH (s:Sensor)-[r:RELEVANT_TO]->(f:FailureMode)
WHERE (r.votes_yes > 0 AND r.votes_no > 0) OR (r.probability > 0.3 AND r.probability < 0.7)
RETURN r.asset AS asset, s.name AS sensor, f.name AS failure_mode, r.label AS label,
  r.votes_yes AS yes, r.votes_no AS no, r.probability AS probability
ORDER BY asset, sensor, failure_mode;
