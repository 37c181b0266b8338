PRAGMA application_id = 1869767473;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE "attempts" (
   "attempt_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "job_id" TEXT REFERENCES "jobs"("job_id"),
   "step_id" TEXT REFERENCES "steps"("step_id"),
   "attempt" INTEGER,
   "status" TEXT,
   "started_at" TEXT,
   "finished_at" TEXT,
   "duration_s" REAL,
   "failure_kind" TEXT,
   "failure" TEXT,
   "exit_code" INTEGER,
   "retry_delay_s" REAL,
   "log" TEXT,
   "log_sha256" TEXT REFERENCES "blobs"("sha256"),
   "cache_key" TEXT,
   "result_version" INTEGER
) STRICT;
INSERT INTO "attempts" VALUES('job_000000000001/a/1','a 1','job_000000000001','job_000000000001/a',1,'succeeded','2004-01-10T13:37:07.000000Z','2004-01-10T13:37:10.000000Z',0.5,NULL,NULL,NULL,NULL,'said
',NULL,NULL,7);
INSERT INTO "attempts" VALUES('job_000000000001/b/1','b 1','job_000000000001','job_000000000001/b',1,'succeeded','2004-01-10T13:37:11.000000Z','2004-01-10T13:37:12.000000Z',0.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,9);
CREATE TABLE blobs (
        sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64),
        size_bytes INTEGER NOT NULL,
        content ANY NOT NULL
    ) STRICT
    ;
INSERT INTO "blobs" VALUES('fac6598ad9311d590fa68b2933061b275c020bd1359145faf8ea54456db753e8',1313,'{"messages":[{"content":"long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long ","role":"user"}],"n":1,"system":null}');
INSERT INTO "blobs" VALUES('344d15c8d4b7c0cd4b7d82d40108697f41df24384a575a2f08dd596aeb42635c',1261,'{"text":"long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long "}');
INSERT INTO "blobs" VALUES('2b89115740b9ab3662cba102cd9993d575a6f3f11e9173d2c51faae1ab6f801e',12,'chapter one
');
INSERT INTO "blobs" VALUES('1d449b72b7ac00c6e9216dbe864b74df78120af186f6f2097cc29f9ee5198a3f',1100,'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx');
CREATE TABLE "circuits" (
   "circuit_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "job_id" TEXT REFERENCES "jobs"("job_id"),
   "status" TEXT,
   "opened_at" TEXT,
   "closed_at" TEXT,
   "failures" INTEGER,
   "times_opened" INTEGER,
   "cooldown_s" REAL,
   "failure_kind" TEXT,
   "failure" TEXT
) STRICT;
CREATE TABLE events (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (version > 0),
        type TEXT NOT NULL,
        step TEXT,
        attempt INTEGER,
        recorded_at TEXT NOT NULL,
        data TEXT NOT NULL,
        hash TEXT NOT NULL CHECK (length(hash) = 64),
        UNIQUE (job_id, version)
    ) STRICT
    ;
INSERT INTO "events" VALUES(1,'job_000000000001',1,'job.submitted',NULL,NULL,'2004-01-10T13:37:05.000000Z','{"inputs":{"value":{}},"orc_version":"test","project":"demo","runs_dir":"/runs","source":{"value":"(none)"},"source_name":"spec.yaml","spec":{"value":{"concurrency":{"total":4},"model":"m","project":"demo","provider":"fake","steps":[{"id":"a","kind":"prompt","messages":[{"content":"?","role":"user"}],"model":"m","provider":"fake"},{"id":"b","kind":"value","needs":["a"]}],"task_description":"A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. "}},"spec_dir":"/specs","submit_dir":"/work"}','24afe6839152495424351ce5c2e67050989227d4c723f4400eb9757b782f4d89');
INSERT INTO "events" VALUES(2,'job_000000000001',2,'job.started',NULL,NULL,'2004-01-10T13:37:06.000000Z','{"owner":{"host":"here","pid":1}}','b1d88e6ee914908aa4ee9fa83bdef5dcd8db779ef4cb777c45a0fd413162f61a');
INSERT INTO "events" VALUES(3,'job_000000000001',3,'step.started','a',1,'2004-01-10T13:37:07.000000Z','{"kind":"prompt","needs":[]}','a798536908aae08f808fac84632de899b3512317655df8d718d65ca62df005b9');
INSERT INTO "events" VALUES(4,'job_000000000001',4,'llm.requested','a',1,'2004-01-10T13:37:08.000000Z','{"call":1,"model":"m","prompt_sha256":"fac6598ad9311d590fa68b2933061b275c020bd1359145faf8ea54456db753e8","provider":"ollama","request":{"sha256":"fac6598ad9311d590fa68b2933061b275c020bd1359145faf8ea54456db753e8","size_bytes":1313},"request_sha256":"1198ff05bf4ad66fb81519f948251f38a0a0058c2a0e45d78baa68f32100d2f2"}','43a8d4f6c0fd15b931ad9a983e6d8a7bd6fdc3541c8cfe20f413205c7310613a');
INSERT INTO "events" VALUES(5,'job_000000000001',5,'llm.responded','a',1,'2004-01-10T13:37:09.000000Z','{"call":1,"duration_s":1.0,"finish_reason":"stop","model":"m","provider":"ollama","reply":{"sha256":"344d15c8d4b7c0cd4b7d82d40108697f41df24384a575a2f08dd596aeb42635c","size_bytes":1261},"request_sha256":"1198ff05bf4ad66fb81519f948251f38a0a0058c2a0e45d78baa68f32100d2f2","usage":{"cached_tokens":0,"input_tokens":3,"output_tokens":1250,"reasoning_tokens":0}}','3f44d62e4c7a4e20db4d70a568ab5af0b74c1cc91301342c154068f5ef03a885');
INSERT INTO "events" VALUES(6,'job_000000000001',6,'file.written','a',1,'2004-01-10T13:37:10.000000Z','{"media_type":"text/plain","path":"demo/a.md","sha256":"2b89115740b9ab3662cba102cd9993d575a6f3f11e9173d2c51faae1ab6f801e","size_bytes":12}','4bce9bab419afbcb03a286b363966ddb324c2c084da625c0a1728aa0dcf265b4');
INSERT INTO "events" VALUES(7,'job_000000000001',7,'step.succeeded','a',1,'2004-01-10T13:37:10.000000Z','{"duration_s":0.5,"log":{"value":"said\n"},"output":{"sha256":"1d449b72b7ac00c6e9216dbe864b74df78120af186f6f2097cc29f9ee5198a3f","size_bytes":1100,"text":true}}','0995f5c881e394791892fc7dad6b636952ae650ffc26bb648901450004aea65d');
INSERT INTO "events" VALUES(8,'job_000000000001',8,'step.started','b',1,'2004-01-10T13:37:11.000000Z','{"kind":"value","needs":["a"]}','f40ecdd20daf8578a4a9c6ef91ece9093cee2550225f7fc2627ba97eebbc9f90');
INSERT INTO "events" VALUES(9,'job_000000000001',9,'step.succeeded','b',1,'2004-01-10T13:37:12.000000Z','{"duration_s":0.5,"output":{}}','00937b28e156b6ff9aaf086b98c49fba7ef03030a359b52e7d43221eaf05962f');
INSERT INTO "events" VALUES(10,'job_000000000001',10,'job.succeeded',NULL,NULL,'2004-01-10T13:37:13.000000Z','{}','9f08670a6bf6887d6a6fd10852028df45d9fe95c4edfc1d86e2cb6fcaf402f14');
CREATE TABLE "files" (
   "file_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "job_id" TEXT REFERENCES "jobs"("job_id"),
   "step_id" TEXT REFERENCES "steps"("step_id"),
   "path" TEXT,
   "sha256" TEXT REFERENCES "blobs"("sha256"),
   "size_bytes" INTEGER,
   "media_type" TEXT,
   "written_at" TEXT,
   "attempt" INTEGER
) STRICT;
INSERT INTO "files" VALUES('job_000000000001/demo/a.md','demo/a.md','job_000000000001','job_000000000001/a','demo/a.md','2b89115740b9ab3662cba102cd9993d575a6f3f11e9173d2c51faae1ab6f801e',12,'text/plain','2004-01-10T13:37:10.000000Z',1);
CREATE TABLE "jobs" (
   "job_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "status" TEXT,
   "task_description" TEXT,
   "provider" TEXT,
   "model" TEXT,
   "submitted_at" TEXT,
   "started_at" TEXT,
   "finished_at" TEXT,
   "duration_s" REAL,
   "steps_total" INTEGER,
   "steps_succeeded" INTEGER,
   "steps_failed" INTEGER,
   "steps_skipped" INTEGER,
   "calls" INTEGER,
   "input_tokens" INTEGER,
   "output_tokens" INTEGER,
   "cost_usd" REAL,
   "calls_unpriced" INTEGER,
   "failure" TEXT,
   "spec_file" TEXT,
   "runs_dir" TEXT,
   "owner" TEXT,
   "forked_from" TEXT
) STRICT;
INSERT INTO "jobs" VALUES('job_000000000001','demo','succeeded','A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. A ledger of the first schema. ','fake','m','2004-01-10T13:37:05.000000Z','2004-01-10T13:37:06.000000Z','2004-01-10T13:37:13.000000Z',7.0,2,2,0,0,1,3,1250,0.0,0,NULL,'spec.yaml','/runs','1 on here',NULL);
CREATE TABLE "llm_calls" (
   "call_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "job_id" TEXT REFERENCES "jobs"("job_id"),
   "step_id" TEXT REFERENCES "steps"("step_id"),
   "attempt_id" TEXT REFERENCES "attempts"("attempt_id"),
   "call" INTEGER,
   "status" TEXT,
   "provider" TEXT,
   "model" TEXT,
   "requested_at" TEXT,
   "duration_s" REAL,
   "input_tokens" INTEGER,
   "output_tokens" INTEGER,
   "cached_tokens" INTEGER,
   "reasoning_tokens" INTEGER,
   "cost_usd" REAL,
   "price_date" TEXT,
   "saved_usd" REAL,
   "finish_reason" TEXT,
   "failure_kind" TEXT,
   "failure" TEXT,
   "request_sha256" TEXT,
   "request_blob" TEXT REFERENCES "blobs"("sha256"),
   "reply_blob" TEXT REFERENCES "blobs"("sha256"),
   "endpoint" TEXT,
   "identity" TEXT,
   "request_version" INTEGER,
   "reply_version" INTEGER,
   "rejected" INTEGER,
   "dropped" TEXT,
   "changed" TEXT,
   "paid_by_job" TEXT,
   "paid_by_step" TEXT
) STRICT;
INSERT INTO "llm_calls" VALUES('job_000000000001/a/1/1','a 1.1','job_000000000001','job_000000000001/a','job_000000000001/a/1',1,'answered','ollama','m','2004-01-10T13:37:08.000000Z',1.0,3,1250,0,0,0.0,NULL,NULL,'stop',NULL,NULL,'1198ff05bf4ad66fb81519f948251f38a0a0058c2a0e45d78baa68f32100d2f2','fac6598ad9311d590fa68b2933061b275c020bd1359145faf8ea54456db753e8','344d15c8d4b7c0cd4b7d82d40108697f41df24384a575a2f08dd596aeb42635c',NULL,NULL,4,5,0,NULL,NULL,NULL,NULL);
CREATE TABLE orc_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT INTO "orc_meta" VALUES('read_model','3');
CREATE TABLE signals (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        data TEXT NOT NULL,
        created_at TEXT NOT NULL
    ) STRICT
    ;
INSERT INTO "signals" VALUES(1,'job_000000000001','cancel','{}','2004-01-10T13:37:05.000000Z');
CREATE TABLE "steps" (
   "step_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "job_id" TEXT REFERENCES "jobs"("job_id"),
   "position" INTEGER,
   "kind" TEXT,
   "status" TEXT,
   "needs" TEXT,
   "provider" TEXT,
   "model" TEXT,
   "attempts" INTEGER,
   "started_at" TEXT,
   "finished_at" TEXT,
   "duration_s" REAL,
   "calls" INTEGER,
   "input_tokens" INTEGER,
   "output_tokens" INTEGER,
   "cost_usd" REAL,
   "calls_unpriced" INTEGER,
   "output" TEXT,
   "output_sha256" TEXT REFERENCES "blobs"("sha256"),
   "failure_kind" TEXT,
   "failure" TEXT,
   "skip_reason" TEXT,
   "tolerated" INTEGER,
   "parent" TEXT,
   "children" INTEGER,
   "question" TEXT,
   "decision" TEXT,
   "decided_by" TEXT,
   "reused" TEXT,
   "reused_from" TEXT
) STRICT;
INSERT INTO "steps" VALUES('job_000000000001/a','a','job_000000000001',0,'prompt','succeeded','','fake','m',1,'2004-01-10T13:37:07.000000Z','2004-01-10T13:37:10.000000Z',0.5,1,3,1250,0.0,0,NULL,'1d449b72b7ac00c6e9216dbe864b74df78120af186f6f2097cc29f9ee5198a3f',NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "steps" VALUES('job_000000000001/b','b','job_000000000001',1,'value','succeeded','a',NULL,NULL,1,'2004-01-10T13:37:11.000000Z','2004-01-10T13:37:12.000000Z',0.5,0,0,0,NULL,0,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE "tool_calls" (
   "tool_call_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "job_id" TEXT REFERENCES "jobs"("job_id"),
   "step_id" TEXT REFERENCES "steps"("step_id"),
   "attempt_id" TEXT REFERENCES "attempts"("attempt_id"),
   "call_id" TEXT REFERENCES "llm_calls"("call_id"),
   "tool" TEXT,
   "status" TEXT,
   "called_at" TEXT,
   "duration_s" REAL,
   "arguments" TEXT,
   "result" TEXT,
   "arguments_blob" TEXT REFERENCES "blobs"("sha256"),
   "result_blob" TEXT REFERENCES "blobs"("sha256")
) STRICT;
CREATE INDEX signals_by_job ON signals (job_id, id);
CREATE TRIGGER events_in_order BEFORE INSERT ON events
    WHEN NEW.version IS NOT
            (SELECT coalesce(max(version), 0) + 1 FROM events WHERE job_id = NEW.job_id)
        OR EXISTS (SELECT 1 FROM events WHERE position = NEW.position)
    BEGIN SELECT RAISE(ABORT, 'events are append-only: not the next version'); END;
CREATE TRIGGER events_no_update BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only: no update'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only: no delete'); END;
CREATE TRIGGER blobs_once BEFORE INSERT ON blobs
    WHEN EXISTS (SELECT 1 FROM blobs WHERE sha256 = NEW.sha256)
    BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER blobs_no_replace BEFORE INSERT ON blobs
    WHEN EXISTS (SELECT 1 FROM blobs WHERE rowid = NEW.rowid AND sha256 IS NOT NEW.sha256)
    BEGIN SELECT RAISE(ABORT, 'blobs are append-only: no replace'); END;
CREATE TRIGGER blobs_no_update BEFORE UPDATE ON blobs
    BEGIN SELECT RAISE(ABORT, 'blobs are append-only: no update'); END;
CREATE TRIGGER blobs_no_delete BEFORE DELETE ON blobs
    BEGIN SELECT RAISE(ABORT, 'blobs are append-only: no delete'); END;
CREATE TRIGGER signals_once BEFORE INSERT ON signals
    WHEN EXISTS (SELECT 1 FROM signals WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'signals are append-only: no replace'); END;
CREATE TRIGGER signals_no_update BEFORE UPDATE ON signals
    BEGIN SELECT RAISE(ABORT, 'signals are append-only: no update'); END;
CREATE TRIGGER signals_no_delete BEFORE DELETE ON signals
    BEGIN SELECT RAISE(ABORT, 'signals are append-only: no delete'); END;
CREATE INDEX jobs_by_status ON jobs (status);
CREATE INDEX jobs_by_submitted_at ON jobs (submitted_at);
CREATE INDEX steps_by_job_id ON steps (job_id);
CREATE INDEX attempts_by_step_id ON attempts (step_id);
CREATE INDEX llm_calls_by_job_id ON llm_calls (job_id);
CREATE INDEX llm_calls_by_step_id ON llm_calls (step_id);
CREATE INDEX llm_calls_by_provider_model ON llm_calls (provider, model);
CREATE INDEX llm_calls_by_request_sha256 ON llm_calls (request_sha256);
CREATE INDEX tool_calls_by_job_id ON tool_calls (job_id);
CREATE INDEX tool_calls_by_step_id ON tool_calls (step_id);
CREATE INDEX circuits_by_job_id ON circuits (job_id);
CREATE INDEX files_by_job_id ON files (job_id);
CREATE INDEX files_by_sha256 ON files (sha256);
CREATE INDEX attempts_by_cache_key ON attempts (cache_key) WHERE cache_key IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',10);
INSERT INTO "sqlite_sequence" VALUES('signals',1);
COMMIT;
