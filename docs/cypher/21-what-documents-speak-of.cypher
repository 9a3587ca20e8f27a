// What documents speak of
// The entities that most documents about an asset mention, with what each of them is in the tables.
// :param asset => "pump"
MATCH (p:Passage {asset: $asset})-[:MENTIONS]->(e:Entity)
WITH e, count(p) AS documents
OPTIONAL MATCH (e)-[:SAME_AS]->(n)
RETURN e.name AS entity, e.kind AS kind, documents, collect(DISTINCT n.id) AS same_as
ORDER BY documents DESC, entity
LIMIT 25;
