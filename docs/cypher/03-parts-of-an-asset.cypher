// Parts of an asset
// Subunits and their components, as ISO 14224 divides equipment.
// :param asset => "pump"
MATCH (a:Asset {id: $asset})-[:HAS_SUBUNIT]->(s:Subunit)
OPTIONAL MATCH (s)-[:HAS_COMPONENT]->(c:Component)
RETURN s.name AS subunit, c.name AS component
ORDER BY subunit, component;
