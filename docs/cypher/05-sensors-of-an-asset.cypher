// Sensors of an asset
// Who says so: a table or the teacher.
// :param asset => "pump"
MATCH (a:Asset {id: $asset})-[m:MONITORED_BY]->(s:Sensor)
RETURN s.name AS sensor, m.origin AS origin, m.reply_name AS as_the_teacher_wrote_it
ORDER BY sensor;
