// One asset as a picture
// An asset and what is one step away, without the documents: the picture to start with in Neo4j Browser.
// :param asset => "pump"
MATCH path = (a:Asset {id: $asset})-[:HAS_CLASS|HAS_TYPE|HAS_SUBUNIT|EXPERIENCES|MONITORED_BY]-(b)
RETURN path
LIMIT 200;
