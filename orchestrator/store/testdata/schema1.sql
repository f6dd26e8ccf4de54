BEGIN TRANSACTION;
CREATE TABLE events (
  task    TEXT    NOT NULL REFERENCES tasks (id),
  seq     INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  type    TEXT    NOT NULL,
  event   TEXT    NOT NULL,
  effects TEXT    NOT NULL,
  PRIMARY KEY (task, seq)
) STRICT;
INSERT INTO "events" VALUES('01DONE',1,1767323047000000,'task_submitted','{"at":"2026-01-02T03:04:07Z","type":"task_submitted","body":{"task":"01DONE","team":"chain","revision":"32410e1e89c6dc5000d7db8af9ced92e8a7f29d2206e6c06ce94c131fa4e8c96","input":{"goal":"go","n":12345678},"workspace":"/w"}}','[]');
INSERT INTO "events" VALUES('01DONE',2,1767323049000000,'task_claimed','{"at":"2026-01-02T03:04:09Z","type":"task_claimed","body":{}}','[{"type":"handoff","body":{"to":"a","to_turn":1,"note":"the task starts here"}},{"type":"start_turn","body":{"turn":1,"node":"a","attempt":1,"message":"go"}}]');
INSERT INTO "events" VALUES('01DONE',3,1767323051000000,'turn_sending','{"at":"2026-01-02T03:04:11Z","type":"turn_sending","body":{"turn":1,"attempt":1,"client_message_id":"01DONE.1.1","runtime":{"server":"s","agent_id":"agent-a","conversation_id":"conv-01DONE"}}}','[]');
INSERT INTO "events" VALUES('01DONE',4,1767323052000000,'turn_accepted','{"at":"2026-01-02T03:04:12Z","type":"turn_accepted","body":{"turn":1,"attempt":1,"disposition":"started"}}','[]');
INSERT INTO "events" VALUES('01DONE',5,1767323053000000,'turn_finished','{"at":"2026-01-02T03:04:13Z","type":"turn_finished","body":{"turn":1,"attempt":1,"reason":"end_turn","output":"by a","usage":{"total_tokens":7}}}','[{"type":"handoff","body":{"from_turn":1,"from":"a","reason":"end_turn","rule":1,"fired":1,"to":"b","to_turn":2}},{"type":"start_turn","body":{"turn":2,"node":"b","attempt":1,"message":"12345678 by a"}}]');
INSERT INTO "events" VALUES('01DONE',6,1767323055000000,'turn_sending','{"at":"2026-01-02T03:04:15Z","type":"turn_sending","body":{"turn":2,"attempt":1,"client_message_id":"01DONE.2.1","runtime":{"server":"s","agent_id":"agent-b","conversation_id":"conv-01DONE"}}}','[]');
INSERT INTO "events" VALUES('01DONE',7,1767323056000000,'turn_accepted','{"at":"2026-01-02T03:04:16Z","type":"turn_accepted","body":{"turn":2,"attempt":1,"disposition":"started"}}','[]');
INSERT INTO "events" VALUES('01DONE',8,1767323057000000,'turn_finished','{"at":"2026-01-02T03:04:17Z","type":"turn_finished","body":{"turn":2,"attempt":1,"reason":"end_turn","output":"by b","usage":{"total_tokens":7}}}','[{"type":"handoff","body":{"from_turn":2,"from":"b","reason":"end_turn","rule":2,"fired":1,"to":"c","to_turn":3}},{"type":"start_turn","body":{"turn":3,"node":"c","attempt":1,"message":"The task:\ngo\n\nb ended with end_turn.\n\nIts output:\nby b"}}]');
INSERT INTO "events" VALUES('01DONE',9,1767323059000000,'turn_sending','{"at":"2026-01-02T03:04:19Z","type":"turn_sending","body":{"turn":3,"attempt":1,"client_message_id":"01DONE.3.1","runtime":{"server":"s","agent_id":"agent-c","conversation_id":"conv-01DONE"}}}','[]');
INSERT INTO "events" VALUES('01DONE',10,1767323060000000,'turn_accepted','{"at":"2026-01-02T03:04:20Z","type":"turn_accepted","body":{"turn":3,"attempt":1,"disposition":"started"}}','[]');
INSERT INTO "events" VALUES('01DONE',11,1767323061000000,'turn_finished','{"at":"2026-01-02T03:04:21Z","type":"turn_finished","body":{"turn":3,"attempt":1,"reason":"end_turn","output":"by c","usage":{"total_tokens":7}}}','[{"type":"handoff","body":{"from_turn":3,"from":"c","reason":"end_turn","rule":3,"fired":1,"to":"succeeded"}},{"type":"finish_task","body":{"result":{"state":"succeeded","node":"c","reason":"end_turn","rule":3,"explanation":"c ended with end_turn, and rule 3 goes to succeeded","at":"2026-01-02T03:04:21Z"}}}]');
INSERT INTO "events" VALUES('01WAITS',1,1767323062000000,'task_submitted','{"at":"2026-01-02T03:04:22Z","type":"task_submitted","body":{"task":"01WAITS","team":"chain","revision":"32410e1e89c6dc5000d7db8af9ced92e8a7f29d2206e6c06ce94c131fa4e8c96","input":{"goal":"go","n":12345678},"workspace":"/w"}}','[]');
INSERT INTO "events" VALUES('01RUNS',1,1767323064000000,'task_submitted','{"at":"2026-01-02T03:04:24Z","type":"task_submitted","body":{"task":"01RUNS","team":"chain","revision":"32410e1e89c6dc5000d7db8af9ced92e8a7f29d2206e6c06ce94c131fa4e8c96","input":{"goal":"go","n":12345678},"workspace":"/w"}}','[]');
INSERT INTO "events" VALUES('01WAITS',2,1767323063000000,'task_claimed','{"at":"2026-01-02T03:04:23Z","type":"task_claimed","body":{}}','[{"type":"handoff","body":{"to":"a","to_turn":1,"note":"the task starts here"}},{"type":"start_turn","body":{"turn":1,"node":"a","attempt":1,"message":"go"}}]');
INSERT INTO "events" VALUES('01WAITS',3,1767323066000000,'turn_sending','{"at":"2026-01-02T03:04:26Z","type":"turn_sending","body":{"turn":1,"attempt":1,"client_message_id":"01WAITS.1.1","runtime":{"server":"s","agent_id":"agent-a","conversation_id":"conv-01WAITS"}}}','[]');
INSERT INTO "events" VALUES('01WAITS',4,1767323067000000,'turn_accepted','{"at":"2026-01-02T03:04:27Z","type":"turn_accepted","body":{"turn":1,"attempt":1,"disposition":"started"}}','[]');
INSERT INTO "events" VALUES('01WAITS',5,1767323068000000,'turn_finished','{"at":"2026-01-02T03:04:28Z","type":"turn_finished","body":{"turn":1,"attempt":1,"reason":"end_turn","output":"by a","usage":{"total_tokens":7}}}','[{"type":"handoff","body":{"from_turn":1,"from":"a","reason":"end_turn","rule":1,"fired":1,"to":"b","to_turn":2}},{"type":"start_turn","body":{"turn":2,"node":"b","attempt":1,"message":"12345678 by a"}}]');
INSERT INTO "events" VALUES('01WAITS',6,1767323070000000,'turn_sending','{"at":"2026-01-02T03:04:30Z","type":"turn_sending","body":{"turn":2,"attempt":1,"client_message_id":"01WAITS.2.1","runtime":{"server":"s","agent_id":"agent-b","conversation_id":"conv-01WAITS"}}}','[]');
INSERT INTO "events" VALUES('01WAITS',7,1767323071000000,'turn_accepted','{"at":"2026-01-02T03:04:31Z","type":"turn_accepted","body":{"turn":2,"attempt":1,"disposition":"started"}}','[]');
INSERT INTO "events" VALUES('01WAITS',8,1767323072000000,'turn_finished','{"at":"2026-01-02T03:04:32Z","type":"turn_finished","body":{"turn":2,"attempt":1,"reason":"connection_lost"}}','[{"type":"handoff","body":{"from_turn":2,"from":"b","reason":"connection_lost","rule":4,"fired":1,"max":2,"to":"b","to_turn":2,"retry":true,"not_before":"2026-01-02T04:08:25.64Z","skipped":[{"rule":2,"why":"connection_lost is not among its reasons"}]}}]');
INSERT INTO "events" VALUES('01RUNS',2,1767323074000000,'task_claimed','{"at":"2026-01-02T03:04:34Z","type":"task_claimed","body":{}}','[{"type":"handoff","body":{"to":"a","to_turn":1,"note":"the task starts here"}},{"type":"start_turn","body":{"turn":1,"node":"a","attempt":1,"message":"go"}}]');
INSERT INTO "events" VALUES('01RUNS',3,1767323077000000,'turn_sending','{"at":"2026-01-02T03:04:37Z","type":"turn_sending","body":{"turn":1,"attempt":1,"client_message_id":"01RUNS.1.1","runtime":{"server":"s","agent_id":"agent-a","conversation_id":"conv-01RUNS"}}}','[]');
INSERT INTO "events" VALUES('01RUNS',4,1767323078000000,'turn_accepted','{"at":"2026-01-02T03:04:38Z","type":"turn_accepted","body":{"turn":1,"attempt":1,"disposition":"started"}}','[]');
INSERT INTO "events" VALUES('01RUNS',5,1767323079000000,'turn_finished','{"at":"2026-01-02T03:04:39Z","type":"turn_finished","body":{"turn":1,"attempt":1,"reason":"end_turn","output":"by a","usage":{"total_tokens":7}}}','[{"type":"handoff","body":{"from_turn":1,"from":"a","reason":"end_turn","rule":1,"fired":1,"to":"b","to_turn":2}},{"type":"start_turn","body":{"turn":2,"node":"b","attempt":1,"message":"12345678 by a"}}]');
INSERT INTO "events" VALUES('01RUNS',6,1767323081000000,'turn_sending','{"at":"2026-01-02T03:04:41Z","type":"turn_sending","body":{"turn":2,"attempt":1,"client_message_id":"01RUNS.2.1","runtime":{"server":"s","agent_id":"agent-b","conversation_id":"conv-01RUNS"}}}','[]');
INSERT INTO "events" VALUES('01RUNS',7,1767323082000000,'turn_accepted','{"at":"2026-01-02T03:04:42Z","type":"turn_accepted","body":{"turn":2,"attempt":1,"disposition":"started"}}','[]');
INSERT INTO "events" VALUES('01QUEUED',1,1767323083000000,'task_submitted','{"at":"2026-01-02T03:04:43Z","type":"task_submitted","body":{"task":"01QUEUED","team":"chain","revision":"32410e1e89c6dc5000d7db8af9ced92e8a7f29d2206e6c06ce94c131fa4e8c96","input":{"goal":"go","n":12345678},"workspace":"/w"}}','[]');
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO "goose_db_version" VALUES(1,0,1,'2026-11-22 21:59:54');
INSERT INTO "goose_db_version" VALUES(2,1,1,'2026-11-22 21:59:54');
CREATE TABLE revisions (
  hash    TEXT    NOT NULL PRIMARY KEY,
  name    TEXT    NOT NULL,
  file    TEXT    NOT NULL,
  source  BLOB    NOT NULL,
  created INTEGER NOT NULL
) STRICT;
INSERT INTO "revisions" VALUES('32410e1e89c6dc5000d7db8af9ced92e8a7f29d2206e6c06ce94c131fa4e8c96','chain','team.yaml',X'0A76657273696F6E3A20310A6E616D653A20636861696E0A696E707574733A0A2020676F616C3A207B747970653A20737472696E672C2064656661756C743A20676F7D0A20206E3A207B747970653A20696E742C2064656661756C743A2031323334353637387D0A6C696D6974733A207B7475726E733A20397D0A6167656E74733A0A2020613A207B70726F6D70743A20417D0A2020623A207B70726F6D70743A20427D0A2020633A207B70726F6D70743A20437D0A73746172743A20610A68616E646F6666733A0A20202D207B66726F6D3A20612C206F6E3A20656E645F7475726E2C20746F3A20622C206D6573736167653A20227B7B202E696E7075742E6E207D7D207B7B202E6F7574707574207D7D227D0A20202D207B66726F6D3A20622C206F6E3A20656E645F7475726E2C20746F3A20637D0A20202D207B66726F6D3A20632C206F6E3A20656E645F7475726E2C20746F3A207375636365656465647D0A20202D207B66726F6D3A20222A222C206F6E3A20636F6E6E656374696F6E5F6C6F73742C2072657472793A207B6D61783A20322C206261636B6F66663A2031687D7D0A20202D207B66726F6D3A20222A222C206F6E3A20222A222C20746F3A206661696C65647D0A',1767323046000000);
CREATE TABLE runtimes (
  server          TEXT    NOT NULL,
  agent_id        TEXT    NOT NULL,
  conversation_id TEXT    NOT NULL,
  cwd             TEXT    NOT NULL,
  mode            TEXT    NOT NULL,
  role            TEXT    NOT NULL,
  agent           TEXT    NOT NULL,
  task            TEXT    NOT NULL,
  raw             BLOB    NOT NULL,
  first_started   INTEGER NOT NULL,
  last_started    INTEGER NOT NULL,
  active_task     TEXT,
  active_turn     INTEGER,
  active_attempt  INTEGER,
  PRIMARY KEY (server, agent_id, conversation_id)
) STRICT;
INSERT INTO "runtimes" VALUES('s','agent-a','conv-01DONE','/w','','','a','01DONE',X'7B7D',1767323050000000,1767323050000000,NULL,NULL,NULL);
INSERT INTO "runtimes" VALUES('s','agent-b','conv-01DONE','/w','','','b','01DONE',X'7B7D',1767323054000000,1767323054000000,NULL,NULL,NULL);
INSERT INTO "runtimes" VALUES('s','agent-c','conv-01DONE','/w','','','c','01DONE',X'7B7D',1767323058000000,1767323058000000,NULL,NULL,NULL);
INSERT INTO "runtimes" VALUES('s','agent-a','conv-01WAITS','/w','','','a','01WAITS',X'7B7D',1767323065000000,1767323065000000,NULL,NULL,NULL);
INSERT INTO "runtimes" VALUES('s','agent-b','conv-01WAITS','/w','','','b','01WAITS',X'7B7D',1767323069000000,1767323069000000,NULL,NULL,NULL);
INSERT INTO "runtimes" VALUES('s','agent-a','conv-01RUNS','/w','','','a','01RUNS',X'7B7D',1767323076000000,1767323076000000,NULL,NULL,NULL);
INSERT INTO "runtimes" VALUES('s','agent-b','conv-01RUNS','/w','','','b','01RUNS',X'7B7D',1767323080000000,1767323080000000,'01RUNS',2,1);
CREATE TABLE tasks (
  id              TEXT    NOT NULL PRIMARY KEY,
  idempotency_key TEXT    UNIQUE,
  team            TEXT    NOT NULL,
  revision        TEXT    NOT NULL REFERENCES revisions (hash),
  status          TEXT    NOT NULL,
  version         INTEGER NOT NULL,
  state           TEXT    NOT NULL,
  created         INTEGER NOT NULL,
  updated         INTEGER NOT NULL,
  wake_at         INTEGER
) STRICT;
INSERT INTO "tasks" VALUES('01DONE',NULL,'chain','32410e1e89c6dc5000d7db8af9ced92e8a7f29d2206e6c06ce94c131fa4e8c96','succeeded',11,'{"version":11,"task":"01DONE","team":"chain","revision":"32410e1e89c6dc5000d7db8af9ced92e8a7f29d2206e6c06ce94c131fa4e8c96","status":"succeeded","input":{"goal":"go","n":12345678},"workspace":"/w","created":"2026-01-02T03:04:07Z","updated":"2026-01-02T03:04:21Z","started":"2026-01-02T03:04:09Z","last_turn":3,"attempts":3,"fired":{"1":1,"2":1,"3":1},"nodes":{"a":{"visits":1,"turn":1,"reason":"end_turn","output":"by a"},"b":{"visits":1,"turn":2,"reason":"end_turn","output":"by b"},"c":{"visits":1,"turn":3,"reason":"end_turn","output":"by c"}},"conversations":{"a":{"server":"s","agent_id":"agent-a","conversation_id":"conv-01DONE"},"b":{"server":"s","agent_id":"agent-b","conversation_id":"conv-01DONE"},"c":{"server":"s","agent_id":"agent-c","conversation_id":"conv-01DONE"}},"usage":{"total_tokens":21},"result":{"state":"succeeded","node":"c","reason":"end_turn","rule":3,"explanation":"c ended with end_turn, and rule 3 goes to succeeded","at":"2026-01-02T03:04:21Z"}}',1767323047000000,1767323061000000,NULL);
INSERT INTO "tasks" VALUES('01WAITS',NULL,'chain','32410e1e89c6dc5000d7db8af9ced92e8a7f29d2206e6c06ce94c131fa4e8c96','waiting',8,'{"version":8,"task":"01WAITS","team":"chain","revision":"32410e1e89c6dc5000d7db8af9ced92e8a7f29d2206e6c06ce94c131fa4e8c96","status":"waiting","input":{"goal":"go","n":12345678},"workspace":"/w","created":"2026-01-02T03:04:22Z","updated":"2026-01-02T03:04:32Z","started":"2026-01-02T03:04:23Z","turns":[{"id":2,"node":"b","attempt":2,"state":"pending","message":"12345678 by a","retries":{"4":1},"not_before":"2026-01-02T04:08:25.64Z"}],"last_turn":2,"attempts":3,"fired":{"1":1,"4":1},"nodes":{"a":{"visits":1,"turn":1,"reason":"end_turn","output":"by a"},"b":{"visits":1,"turn":2,"reason":"connection_lost"}},"conversations":{"a":{"server":"s","agent_id":"agent-a","conversation_id":"conv-01WAITS"},"b":{"server":"s","agent_id":"agent-b","conversation_id":"conv-01WAITS"}},"usage":{"total_tokens":7},"wake_at":"2026-01-02T04:08:25.64Z"}',1767323062000000,1767323072000000,1767326905640000);
INSERT INTO "tasks" VALUES('01RUNS',NULL,'chain','32410e1e89c6dc5000d7db8af9ced92e8a7f29d2206e6c06ce94c131fa4e8c96','running',7,'{"version":7,"task":"01RUNS","team":"chain","revision":"32410e1e89c6dc5000d7db8af9ced92e8a7f29d2206e6c06ce94c131fa4e8c96","status":"running","input":{"goal":"go","n":12345678},"workspace":"/w","created":"2026-01-02T03:04:24Z","updated":"2026-01-02T03:04:42Z","started":"2026-01-02T03:04:34Z","turns":[{"id":2,"node":"b","attempt":1,"state":"running","message":"12345678 by a","client_message_id":"01RUNS.2.1","runtime":{"server":"s","agent_id":"agent-b","conversation_id":"conv-01RUNS"},"started":"2026-01-02T03:04:41Z"}],"last_turn":2,"attempts":2,"fired":{"1":1},"nodes":{"a":{"visits":1,"turn":1,"reason":"end_turn","output":"by a"},"b":{"visits":1,"turn":0}},"conversations":{"a":{"server":"s","agent_id":"agent-a","conversation_id":"conv-01RUNS"},"b":{"server":"s","agent_id":"agent-b","conversation_id":"conv-01RUNS"}},"usage":{"total_tokens":7}}',1767323064000000,1767323082000000,NULL);
INSERT INTO "tasks" VALUES('01QUEUED',NULL,'chain','32410e1e89c6dc5000d7db8af9ced92e8a7f29d2206e6c06ce94c131fa4e8c96','queued',1,'{"version":1,"task":"01QUEUED","team":"chain","revision":"32410e1e89c6dc5000d7db8af9ced92e8a7f29d2206e6c06ce94c131fa4e8c96","status":"queued","input":{"goal":"go","n":12345678},"workspace":"/w","created":"2026-01-02T03:04:43Z","updated":"2026-01-02T03:04:43Z"}',1767323083000000,1767323083000000,NULL);
CREATE INDEX tasks_by_created ON tasks (created, id);
CREATE INDEX tasks_by_status ON tasks (status, created, id);
CREATE INDEX tasks_by_wake_at ON tasks (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX runtimes_by_task ON runtimes (task);
CREATE INDEX runtimes_by_active_task ON runtimes (active_task) WHERE active_task IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('goose_db_version',2);
COMMIT;
