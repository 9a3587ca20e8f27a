// One asset as a picture
// An asset and everything one step away: the picture to start with in Neo4j Browser.
// :param asset => "pump"
MATCH path = (a:Asset {id: $asset})-[]-(b)
RETURN path
LIMIT 200;
