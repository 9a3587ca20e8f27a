// All assets
// The asset classes with their category, code and family.
MATCH (a:Asset)
OPTIONAL MATCH (c:Category)-[:HAS_CLASS]->(a)
RETURN a.id AS asset, a.name AS name, a.code AS code, c.name AS category, a.family AS family
ORDER BY asset;
