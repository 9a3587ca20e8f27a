// How two entities interact
// What documents say about an entity together with others, and from which document it was made.
// :param entity => "vibration"
MATCH (e:Entity {id: $entity})-[r:INTERACTS_WITH]-(o:Entity)
MATCH (p:Passage {id: r.passage})-[:DERIVED_FROM]->(d:Passage)
RETURN o.name AS other, p.asset AS asset, p.text AS text, d.id AS document
ORDER BY other, asset, document;
