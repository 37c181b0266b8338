CREATE TABLE "jobs" (
   "job_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "status" TEXT,
   "task_description" TEXT,
   "provider" TEXT,
   "model" TEXT,
   "position" INTEGER,
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
   "cost_nano_usd" INTEGER,
   "calls_unpriced" INTEGER,
   "calls_in_doubt" INTEGER,
   "in_doubt_usd" REAL,
   "in_doubt_nano_usd" INTEGER,
   "in_doubt_unpriced" INTEGER,
   "failure" TEXT,
   "spec_file" TEXT,
   "runs_dir" TEXT,
   "owner" TEXT,
   "forked_from" TEXT,
   "queued" INTEGER
) STRICT;
CREATE INDEX jobs_by_status ON jobs (status);
CREATE INDEX jobs_by_position ON jobs (position);
CREATE INDEX jobs_by_submitted_at ON jobs (submitted_at);
CREATE INDEX jobs_by_queued ON jobs (queued);
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
   "cost_nano_usd" INTEGER,
   "calls_unpriced" INTEGER,
   "calls_in_doubt" INTEGER,
   "in_doubt_usd" REAL,
   "in_doubt_nano_usd" INTEGER,
   "in_doubt_unpriced" INTEGER,
   "output" TEXT,
   "output_sha256" TEXT REFERENCES "blobs"("sha256"),
   "failure_kind" TEXT,
   "failure" TEXT,
   "skip_reason" TEXT,
   "warning" TEXT,
   "tolerated" INTEGER,
   "parent" TEXT,
   "children" INTEGER,
   "question" TEXT,
   "decision" TEXT,
   "decided_by" TEXT,
   "executor" TEXT,
   "host" TEXT,
   "queued_s" REAL,
   "batch" INTEGER,
   "reused" TEXT,
   "reused_from" TEXT,
   "dimensions" TEXT,
   "item_key" TEXT
) STRICT;
CREATE INDEX steps_by_job_id ON steps (job_id);
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
   "result_version" INTEGER,
   "executor" TEXT,
   "host" TEXT,
   "worker" TEXT,
   "placed_at" TEXT,
   "queued_s" REAL
) STRICT;
CREATE INDEX attempts_by_step_id ON attempts (step_id);
CREATE INDEX attempts_by_cache_key ON attempts (cache_key) WHERE cache_key IS NOT NULL;
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
   "cache_write_tokens" INTEGER,
   "reasoning_tokens" INTEGER,
   "cost_usd" REAL,
   "cost_nano_usd" INTEGER,
   "reported_usd" REAL,
   "reported_nano_usd" INTEGER,
   "worst_case_tokens" INTEGER,
   "worst_case_usd" REAL,
   "worst_case_nano_usd" INTEGER,
   "in_doubt" INTEGER,
   "price_date" TEXT,
   "saved_usd" REAL,
   "saved_nano_usd" INTEGER,
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
   "batch" INTEGER,
   "paid_by_job" TEXT,
   "paid_by_step" TEXT
) STRICT;
CREATE INDEX llm_calls_by_job_id ON llm_calls (job_id);
CREATE INDEX llm_calls_by_step_id ON llm_calls (step_id);
CREATE INDEX llm_calls_by_request_sha256 ON llm_calls (request_sha256);
CREATE INDEX llm_calls_by_provider_model ON llm_calls (provider, model);
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
CREATE INDEX circuits_by_job_id ON circuits (job_id);
CREATE TABLE "batches" (
   "batch_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "job_id" TEXT REFERENCES "jobs"("job_id"),
   "batch" INTEGER,
   "status" TEXT,
   "provider" TEXT,
   "model" TEXT,
   "endpoint" TEXT,
   "server_id" TEXT,
   "requests" INTEGER,
   "answered" INTEGER,
   "failed" INTEGER,
   "size_bytes" INTEGER,
   "submitted_at" TEXT,
   "ended_at" TEXT,
   "trouble" TEXT,
   "failure" TEXT
) STRICT;
CREATE INDEX batches_by_job_id ON batches (job_id);
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
CREATE INDEX tool_calls_by_job_id ON tool_calls (job_id);
CREATE INDEX tool_calls_by_step_id ON tool_calls (step_id);
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
   "attempt" INTEGER,
   "mode" TEXT
) STRICT;
CREATE INDEX files_by_job_id ON files (job_id);
CREATE INDEX files_by_sha256 ON files (sha256);
CREATE TABLE "tolerated_failures" (
   "tolerated_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "job_id" TEXT REFERENCES "jobs"("job_id"),
   "step_id" TEXT REFERENCES "steps"("step_id"),
   "setting" TEXT,
   "kind" TEXT,
   "message" TEXT,
   "version" INTEGER,
   "recorded_at" TEXT,
   "failures" INTEGER
) STRICT;
CREATE INDEX tolerated_failures_by_job_id ON tolerated_failures (job_id);
CREATE INDEX tolerated_failures_by_step_id ON tolerated_failures (step_id);
CREATE TABLE "scores" (
   "score_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "job_id" TEXT REFERENCES "jobs"("job_id"),
   "step_id" TEXT REFERENCES "steps"("step_id"),
   "attempt" INTEGER,
   "value" REAL,
   "passed" INTEGER,
   "error" TEXT,
   "why" TEXT,
   "why_sha256" TEXT REFERENCES "blobs"("sha256"),
   "who" TEXT,
   "by_step" TEXT,
   "by_person" TEXT,
   "version" INTEGER,
   "recorded_at" TEXT,
   "model" TEXT,
   "dimensions" TEXT
) STRICT;
CREATE INDEX scores_by_job_id ON scores (job_id);
CREATE INDEX scores_by_step_id ON scores (step_id);
CREATE TABLE "tags" (
   "tag_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "job_id" TEXT REFERENCES "jobs"("job_id"),
   "tagged_at" TEXT,
   "by_person" TEXT
) STRICT;
CREATE INDEX tags_by_name ON tags (name);
CREATE INDEX tags_by_job_id ON tags (job_id);
CREATE TABLE "notes" (
   "note_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "job_id" TEXT REFERENCES "jobs"("job_id"),
   "note" TEXT,
   "note_sha256" TEXT REFERENCES "blobs"("sha256"),
   "version" INTEGER,
   "noted_at" TEXT,
   "by_person" TEXT
) STRICT;
CREATE INDEX notes_by_job_id ON notes (job_id);
