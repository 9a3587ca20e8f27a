// Documents about an asset
// The passages of the corpus on one asset, by kind.
// :param asset => "pump"
MATCH (p:Passage)-[:ABOUT]->(a:Asset {id: $asset})
RETURN p.kind AS kind, p.id AS passage, p.text AS text
ORDER BY kind, passage
LIMIT 50;
