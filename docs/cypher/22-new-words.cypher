// New words
// Entities that no table and no expansion knows, called sensors or failure modes by a document: worth a person's look.
MATCH (p:Passage)-[m:MENTIONS]->(e:Entity)
WHERE m.kind IN ['sensor', 'failure mode'] AND NOT EXISTS { MATCH (e)-[:SAME_AS]->(n) }
OPTIONAL MATCH (e)-[:NEAR_DUPLICATE_OF]->(other:Entity)
RETURN e.name AS entity, e.kind AS kind, count(DISTINCT p) AS documents, min(other.name) AS looks_like
ORDER BY documents DESC, entity;
