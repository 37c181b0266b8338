"""The statements of the read model, in the order in which one batch runs them."""

from __future__ import annotations

from orc.projections.money.prices import USD_DIGITS

_CUT = "step_id = ? AND attempt_id = ? AND status = 'sent'"
"""The call that an attempt left open: at most one, found by the index of its step's calls."""


def _add_doubt(table: str, key: str, calls: str) -> str:
    """Adds to a row's doubts those of some calls; the row's key comes last of the values."""
    return (
        f"UPDATE {table} SET (calls_in_doubt, in_doubt_usd, in_doubt_unpriced) = (SELECT "
        f"{table}.calls_in_doubt + count(*), CASE WHEN count(worst_case_usd) THEN "
        f"round(coalesce({table}.in_doubt_usd, 0) + sum(worst_case_usd), {USD_DIGITS}) "
        f"ELSE {table}.in_doubt_usd END, {table}.in_doubt_unpriced + count(*) - "
        f"count(worst_case_usd) FROM llm_calls WHERE {calls}) WHERE {key} = ?"
    )


STATEMENTS = {
    "job": "INSERT INTO jobs (job_id, name, status, task_description, provider, model, "
    "submitted_at, steps_total, steps_succeeded, steps_failed, steps_skipped, calls, input_tokens, "
    "output_tokens, calls_unpriced, calls_in_doubt, in_doubt_unpriced, spec_file, runs_dir, "
    "forked_from) VALUES (?, ?, 'running', ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, ?, ?, ?)",
    "step": "INSERT INTO steps (step_id, name, job_id, position, kind, status, needs, provider, "
    "model, attempts, calls, input_tokens, output_tokens, calls_unpriced, calls_in_doubt, "
    "in_doubt_unpriced, tolerated) "
    "VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0)",
    "job_amended": "UPDATE jobs SET status = 'running', finished_at = NULL, duration_s = NULL, "
    "failure = NULL, task_description = ?, provider = ?, model = ?, steps_total = ?, spec_file = ? "
    "WHERE job_id = ?",
    "step_cleared": "UPDATE steps SET status = ?, started_at = NULL, finished_at = NULL, "
    "duration_s = NULL, output = NULL, output_sha256 = NULL, failure_kind = NULL, failure = NULL, "
    "skip_reason = NULL, tolerated = 0, reused = NULL, reused_from = NULL WHERE step_id = ?",
    "inside_removed": "UPDATE steps SET status = 'removed', output = NULL, output_sha256 = NULL, "
    "failure_kind = NULL, failure = NULL, skip_reason = NULL, tolerated = 0 "
    "WHERE job_id = ? AND substr(name, 1, ?) IN (?, ?, ?)",
    "file_dropped": "DELETE FROM files WHERE file_id = ?",
    "step_moved": "INSERT INTO steps (step_id, name, job_id, position, kind, status, needs, "
    "provider, model, attempts, calls, input_tokens, output_tokens, calls_unpriced, "
    "calls_in_doubt, in_doubt_unpriced, tolerated) "
    "VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (step_id) DO UPDATE "
    "SET position = excluded.position, kind = excluded.kind, needs = excluded.needs, "
    "provider = CASE WHEN attempts AND status = 'succeeded' THEN provider ELSE excluded.provider "
    "END, model = CASE WHEN attempts AND status = 'succeeded' THEN model ELSE excluded.model END, "
    "status = CASE WHEN status = 'removed' THEN 'pending' ELSE status END",
    "steps_recounted": "UPDATE jobs SET (steps_succeeded, steps_failed, steps_skipped) = (SELECT "
    "count(*) FILTER (WHERE status = 'succeeded'), count(*) FILTER (WHERE status = 'failed'), "
    "count(*) FILTER (WHERE status = 'skipped') FROM steps WHERE steps.job_id = jobs.job_id) "
    "WHERE job_id = ?",
    "job_started": "UPDATE jobs SET started_at = ?, owner = ? WHERE job_id = ?",
    "job_resumed": "UPDATE jobs SET status = 'running', finished_at = NULL, duration_s = NULL, "
    "failure = NULL, owner = ? WHERE job_id = ?",
    "reopened": "UPDATE steps SET status = iif(children, 'running', 'pending'), "
    "failure_kind = NULL, failure = NULL, skip_reason = NULL, finished_at = NULL, "
    "duration_s = NULL WHERE job_id = ? AND status IN ('failed', 'cancelled', 'skipped') "
    "AND NOT tolerated AND name NOT IN (SELECT value FROM json_each(?))",
    "recounted": "UPDATE jobs SET steps_failed = (SELECT count(*) FROM steps WHERE steps.job_id = "
    "jobs.job_id AND status = 'failed'), steps_skipped = (SELECT count(*) FROM steps "
    "WHERE steps.job_id = jobs.job_id AND status = 'skipped') WHERE job_id = ?",
    "circuits_reset": "UPDATE circuits SET status = 'closed', closed_at = ? "
    "WHERE job_id = ? AND status = 'open'",
    "cache_hit": "INSERT INTO llm_calls (call_id, name, job_id, step_id, attempt_id, call, status, "
    "provider, model, requested_at, finish_reason, request_sha256, reply_blob, paid_by_job, "
    "paid_by_step, saved_usd) VALUES (?, ?, ?, ?, ?, ?, 'from ledger', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "call_requested": "INSERT INTO llm_calls (call_id, name, job_id, step_id, attempt_id, call, "
    "status, provider, model, requested_at, request_sha256, request_blob, endpoint, identity, "
    "dropped, changed, request_version, worst_case_tokens, worst_case_usd, rejected, in_doubt) "
    "VALUES (?, ?, ?, ?, ?, ?, 'sent', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
    "call_responded": "UPDATE llm_calls SET status = 'answered', model = ?, duration_s = ?, "
    "input_tokens = ?, output_tokens = ?, cached_tokens = ?, reasoning_tokens = ?, cost_usd = ?, "
    "price_date = ?, finish_reason = ?, reply_blob = ?, reply_version = ? WHERE call_id = ?",
    "step_failed_doubt": _add_doubt("steps", "step_id", "call_id = ?"),
    "job_failed_doubt": _add_doubt("jobs", "job_id", "call_id = ?"),
    "call_failed": "UPDATE llm_calls SET status = 'failed', duration_s = ?, input_tokens = ?, "
    "output_tokens = ?, cached_tokens = ?, reasoning_tokens = ?, cost_usd = ?, price_date = ?, "
    "failure_kind = ?, failure = ?, in_doubt = ? WHERE call_id = ?",
    "step_cut_doubt": _add_doubt("steps", "step_id", _CUT),
    "job_cut_doubt": _add_doubt("jobs", "job_id", _CUT),
    "call_cut": f"UPDATE llm_calls SET status = 'in doubt', in_doubt = 1 WHERE {_CUT}",
    "step_usage": "UPDATE steps SET calls = calls + 1, input_tokens = input_tokens + ?, "
    "output_tokens = output_tokens + ?, cost_usd = CASE WHEN ? IS NULL THEN cost_usd "
    f"ELSE round(coalesce(cost_usd, 0) + ?, {USD_DIGITS}) END, "
    "calls_unpriced = calls_unpriced + ? WHERE step_id = ?",
    "job_usage": "UPDATE jobs SET calls = calls + 1, input_tokens = input_tokens + ?, "
    "output_tokens = output_tokens + ?, cost_usd = CASE WHEN ? IS NULL THEN cost_usd "
    f"ELSE round(coalesce(cost_usd, 0) + ?, {USD_DIGITS}) END, "
    "calls_unpriced = calls_unpriced + ? WHERE job_id = ?",
    "circuit_opened": "INSERT INTO circuits (circuit_id, name, job_id, status, opened_at, failures, "
    "cooldown_s, failure_kind, failure, times_opened) VALUES (?, ?, ?, 'open', ?, ?, ?, ?, ?, 1) "
    "ON CONFLICT (circuit_id) DO UPDATE SET status = 'open', opened_at = excluded.opened_at, "
    "closed_at = NULL, failures = excluded.failures, cooldown_s = excluded.cooldown_s, "
    "failure_kind = excluded.failure_kind, failure = excluded.failure, "
    "times_opened = times_opened + 1",
    "circuit_closed": "UPDATE circuits SET status = 'closed', closed_at = ? WHERE circuit_id = ?",
    "tool_called": "INSERT INTO tool_calls (tool_call_id, name, job_id, step_id, attempt_id, "
    "call_id, tool, status, called_at, arguments, arguments_blob) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, 'called', ?, ?, ?)",
    "tool_returned": "UPDATE tool_calls SET status = ?, duration_s = ?, result = ?, "
    "result_blob = ? WHERE tool_call_id = ?",
    "file": "INSERT INTO files (file_id, name, job_id, step_id, path, sha256, size_bytes, "
    "media_type, written_at, attempt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (file_id) DO UPDATE SET step_id = excluded.step_id, sha256 = excluded.sha256, "
    "size_bytes = excluded.size_bytes, media_type = excluded.media_type, "
    "written_at = excluded.written_at, attempt = excluded.attempt "
    "WHERE files.step_id <> excluded.step_id OR files.sha256 <> excluded.sha256",
    "step_interrupted": "UPDATE steps SET status = 'pending' WHERE step_id = ?",
    "tool_cut": "UPDATE tool_calls SET status = 'in doubt' "
    "WHERE step_id = ? AND attempt_id = ? AND status = 'called'",
    "attempt_ended": "UPDATE attempts SET status = ?, finished_at = ?, duration_s = ?, "
    "failure_kind = ?, failure = ?, exit_code = ?, retry_delay_s = ?, log = ?, log_sha256 = ?, "
    "result_version = ? WHERE attempt_id = ?",
    "attempt_doubted": "UPDATE attempts SET status = 'in doubt' WHERE attempt_id = ? AND ("
    "(SELECT kind FROM steps WHERE steps.step_id = attempts.step_id) IN ('run', 'python') "
    "OR EXISTS (SELECT 1 FROM llm_calls WHERE llm_calls.step_id = attempts.step_id "
    "AND llm_calls.attempt_id = attempts.attempt_id AND llm_calls.status = 'in doubt') "
    "OR EXISTS (SELECT 1 FROM tool_calls WHERE tool_calls.step_id = attempts.step_id "
    "AND tool_calls.attempt_id = attempts.attempt_id AND tool_calls.status = 'in doubt'))",
    "step_succeeded": "UPDATE steps SET status = 'succeeded', finished_at = ?, duration_s = ?, "
    "output = ?, output_sha256 = ?, failure_kind = NULL, failure = NULL WHERE step_id = ?",
    "step_failed": "UPDATE steps SET status = ?, finished_at = ?, duration_s = ?, failure_kind = ?, "
    "failure = ?, tolerated = ? WHERE step_id = ?",
    "calls_rejected": "UPDATE llm_calls SET rejected = 1 WHERE step_id = ?",
    "step_short": "UPDATE steps SET status = 'waiting', failure_kind = 'budget', failure = ? "
    "WHERE step_id = ?",
    "step_skipped": "UPDATE steps SET status = 'skipped', skip_reason = ?, finished_at = ? "
    "WHERE step_id = ?",
    "step_switched": "UPDATE steps SET provider = ?, model = ? WHERE step_id = ?",
    "step_started": "UPDATE steps SET status = 'running', attempts = ?, started_at = "
    "coalesce(started_at, ?) WHERE step_id = ?",
    "attempt": "INSERT INTO attempts (attempt_id, name, job_id, step_id, attempt, status, "
    "started_at, cache_key) VALUES (?, ?, ?, ?, ?, 'running', ?, ?)",
    "step_reused": "UPDATE steps SET status = 'succeeded', finished_at = ?, reused = ?, "
    "reused_from = ?, output = ?, output_sha256 = ?, failure_kind = NULL, failure = NULL "
    "WHERE step_id = ?",
    "child": "INSERT INTO steps (step_id, name, job_id, position, kind, status, needs, provider, "
    "model, parent, attempts, calls, input_tokens, output_tokens, calls_unpriced, calls_in_doubt, "
    "in_doubt_unpriced, tolerated, children) VALUES (?, ?, ?, (SELECT count(*) FROM steps WHERE "
    "job_id = ?), ?, 'pending', ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0) "
    "ON CONFLICT (step_id) DO UPDATE SET status = 'pending', kind = excluded.kind, "
    "needs = excluded.needs, parent = excluded.parent, children = 0",
    "expanded": "UPDATE steps SET children = ? WHERE step_id = ?",
    "more_steps": "UPDATE jobs SET steps_total = steps_total + ? WHERE job_id = ?",
    "asked": "UPDATE steps SET status = 'waiting', question = ?, decision = NULL, "
    "decided_by = NULL WHERE step_id = ?",
    "decided": "UPDATE steps SET decision = ?, decided_by = ? WHERE step_id = ?",
    "counters": "UPDATE jobs SET steps_succeeded = steps_succeeded + ?, "
    "steps_failed = steps_failed + ?, steps_skipped = steps_skipped + ? WHERE job_id = ?",
    "steps_cancelled": "UPDATE steps SET status = 'cancelled', finished_at = ? "
    "WHERE job_id = ? AND status IN ('pending', 'running', 'waiting') "
    "AND name NOT IN (SELECT value FROM json_each(?))",
    "job_waiting": "UPDATE jobs SET status = 'waiting' WHERE job_id = ?",
    "job_ended": "UPDATE jobs SET status = ?, finished_at = ?, failure = ?, duration_s = "
    "round((julianday(?) - julianday(started_at)) * 86400, 3) WHERE job_id = ?",
}
ORDER = tuple(STATEMENTS)
