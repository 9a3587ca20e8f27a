// Descent of a passage
// From a generated passage back to the ones that it was made from.
// :param passage => "p1"
MATCH path = (p:Passage {id: $passage})-[:DERIVED_FROM*1..5]->(q:Passage)
RETURN path;
