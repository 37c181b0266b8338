"""The statements of the read model, in the order in which one batch runs them."""

from __future__ import annotations

STATEMENTS = {
    "job": "INSERT INTO jobs (job_id, name, status, task_description, provider, model, "
    "submitted_at, steps_total, steps_succeeded, steps_failed, steps_skipped, calls, input_tokens, "
    "output_tokens, spec_file, runs_dir) "
    "VALUES (?, ?, 'running', ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, ?, ?)",
    "step": "INSERT INTO steps (step_id, name, job_id, position, kind, status, needs, provider, "
    "model, attempts, calls, input_tokens, output_tokens, tolerated) "
    "VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, ?, 0, 0, 0, 0, 0)",
    "job_started": "UPDATE jobs SET started_at = ?, owner = ? WHERE job_id = ?",
    "job_resumed": "UPDATE jobs SET status = 'running', finished_at = NULL, duration_s = NULL, "
    "failure = NULL, owner = ?, steps_failed = (SELECT count(*) FROM steps WHERE steps.job_id = "
    "jobs.job_id AND status = 'failed' AND tolerated), steps_skipped = 0 WHERE job_id = ?",
    "reopened": "UPDATE steps SET status = 'pending', failure_kind = NULL, failure = NULL, "
    "skip_reason = NULL, finished_at = NULL, duration_s = NULL WHERE job_id = ? AND status IN "
    "('failed', 'cancelled', 'skipped') AND NOT tolerated",
    "cache_hit": "INSERT INTO llm_calls (call_id, name, job_id, step_id, attempt_id, call, status, "
    "requested_at, request_sha256) VALUES (?, ?, ?, ?, ?, ?, 'from ledger', ?, ?)",
    "call_requested": "INSERT INTO llm_calls (call_id, name, job_id, step_id, attempt_id, call, "
    "status, provider, model, requested_at, request_sha256, request_blob) "
    "VALUES (?, ?, ?, ?, ?, ?, 'sent', ?, ?, ?, ?, ?)",
    "call_responded": "UPDATE llm_calls SET status = 'answered', model = ?, duration_s = ?, "
    "input_tokens = ?, output_tokens = ?, cached_tokens = ?, reasoning_tokens = ?, cost_usd = ?, "
    "finish_reason = ?, reply_blob = ? WHERE call_id = ?",
    "call_failed": "UPDATE llm_calls SET status = 'failed', duration_s = ?, failure_kind = ?, "
    "failure = ? WHERE call_id = ?",
    "step_usage": "UPDATE steps SET calls = calls + 1, input_tokens = input_tokens + ?, "
    "output_tokens = output_tokens + ?, cost_usd = CASE WHEN ? IS NULL THEN cost_usd "
    "ELSE coalesce(cost_usd, 0) + ? END WHERE step_id = ?",
    "job_usage": "UPDATE jobs SET calls = calls + 1, input_tokens = input_tokens + ?, "
    "output_tokens = output_tokens + ?, cost_usd = CASE WHEN ? IS NULL THEN cost_usd "
    "ELSE coalesce(cost_usd, 0) + ? END WHERE job_id = ?",
    "file": "INSERT INTO files (file_id, name, job_id, step_id, path, sha256, size_bytes, "
    "media_type, written_at, attempt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (file_id) DO UPDATE SET sha256 = excluded.sha256, size_bytes = "
    "excluded.size_bytes, written_at = excluded.written_at, attempt = excluded.attempt",
    "step_interrupted": "UPDATE steps SET status = 'pending' WHERE step_id = ?",
    "attempt_ended": "UPDATE attempts SET status = ?, finished_at = ?, duration_s = ?, "
    "failure_kind = ?, failure = ?, exit_code = ?, retry_delay_s = ?, log = ?, log_sha256 = ? "
    "WHERE attempt_id = ?",
    "step_succeeded": "UPDATE steps SET status = 'succeeded', finished_at = ?, duration_s = ?, "
    "output = ?, output_sha256 = ?, failure_kind = NULL, failure = NULL WHERE step_id = ?",
    "step_failed": "UPDATE steps SET status = ?, finished_at = ?, duration_s = ?, failure_kind = ?, "
    "failure = ?, tolerated = ? WHERE step_id = ?",
    "step_skipped": "UPDATE steps SET status = 'skipped', skip_reason = ?, finished_at = ? "
    "WHERE step_id = ?",
    "step_started": "UPDATE steps SET status = 'running', attempts = ?, started_at = "
    "coalesce(started_at, ?) WHERE step_id = ?",
    "attempt": "INSERT INTO attempts (attempt_id, name, job_id, step_id, attempt, status, "
    "started_at) VALUES (?, ?, ?, ?, ?, 'running', ?)",
    "counters": "UPDATE jobs SET steps_succeeded = steps_succeeded + ?, "
    "steps_failed = steps_failed + ?, steps_skipped = steps_skipped + ? WHERE job_id = ?",
    "steps_cancelled": "UPDATE steps SET status = 'cancelled', finished_at = ? "
    "WHERE job_id = ? AND status IN ('pending', 'running', 'waiting')",
    "job_ended": "UPDATE jobs SET status = ?, finished_at = ?, failure = ?, duration_s = "
    "round((julianday(?) - julianday(started_at)) * 86400, 3) WHERE job_id = ?",
}
ORDER = tuple(STATEMENTS)
