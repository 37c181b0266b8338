"""The SQL statements of the read model by name, in the order in which one batch runs them."""

from __future__ import annotations

from orc.ledger.kinds import INTERRUPTED, NOT_DONE, OPEN, names_where, sql_list
from orc.ledger.money import NANO_PER_USD, NANO_USD_MAX
from orc.projections.tables.assessments import NoteRow, ScoreRow, TagRow
from orc.projections.tables.binding import Insert, Statement, Update
from orc.projections.tables.call_rows import BatchRow
from orc.projections.tables.circuits import CircuitRow
from orc.projections.tables.rows import (
    AttemptRow,
    CallRow,
    FileRow,
    JobRow,
    StepRow,
    ToolRow,
)
from orc.projections.tables.tolerated import ToleratedRow

_UNENDED_CALL = "step_id = :step_id AND attempt_id = :attempt_id AND status = 'sent'"
"""Selects the call that an attempt left without an outcome: at most one."""

_ONE_ACTION = sql_list(names_where("is_one_action"))


def _add_doubt(table: str, key: str, calls: str) -> str:
    """Adds the calls that the condition `calls` selects to the columns in doubt of the row `:row`."""
    sum_ = _plus("in_doubt_nano_usd", "more")
    return (
        f"UPDATE {table} SET (calls_in_doubt, in_doubt_nano_usd, in_doubt_usd, in_doubt_unpriced) = "
        f"(SELECT calls_in_doubt + found, {sum_}, {in_usd(sum_)}, in_doubt_unpriced + found - priced "
        "FROM (SELECT count(*) AS found, count(worst_case_nano_usd) AS priced, "
        f"sum(worst_case_nano_usd) AS more FROM llm_calls WHERE {calls})) WHERE {key} = :row"
    )


def _plus(column: str, more: str) -> str:
    """The sum of a column of nano-dollars and an expression; NULL, for an unknown amount, adds nothing.

    At the largest amount of the ledger the sum stays what it is.
    """
    return f"coalesce(min(coalesce({column}, 0) + {more}, {NANO_USD_MAX}), {column})"


def in_usd(nano_usd: str) -> str:
    """An expression for the US dollars of an expression of nano-dollars, as `ledger/money.py` has it."""
    return f"({nano_usd}) / {NANO_PER_USD}.0"


# Counting the rows for each item would make a job of n items cost n * n. The last row of a job,
# which the index by job finds, has the number of the rows before it as its position, if it is a
# child; an amendment moves only the rows of steps of the spec. The rows are therefore counted for
# the first child after a submission or an amendment only. A child that has a row keeps its position.
_NUMBER_OF_ROWS = (
    "CASE WHEN EXISTS (SELECT 1 FROM steps WHERE step_id = :step_id) THEN NULL ELSE coalesce("
    "(SELECT iif(parent IS NULL, NULL, position + 1) FROM steps WHERE job_id = :job_id "
    "ORDER BY rowid DESC LIMIT 1), (SELECT count(*) FROM steps WHERE job_id = :job_id)) END"
)

# A step has the dimensions of the step around it, too. Both are JSON objects.
_AROUND = "(SELECT dimensions FROM steps WHERE step_id = :job_id || '/' || :parent)"
_WITH_THOSE_AROUND = (
    f"coalesce(substr({_AROUND}, 1, length({_AROUND}) - 1) || ', ' || substr(:dimensions, 2), "
    f"{_AROUND}, :dimensions)"
)

_ADD_USAGE = {
    "calls": "calls + 1",
    "input_tokens": "input_tokens + :input_tokens",
    "output_tokens": "output_tokens + :output_tokens",
    "cost_nano_usd": _plus("cost_nano_usd", ":cost_nano_usd"),
    "cost_usd": in_usd(_plus("cost_nano_usd", ":cost_nano_usd")),
    "calls_unpriced": "calls_unpriced + :calls_unpriced",
}
_NO_RESULT = {
    "output": None,
    "output_sha256": None,
    "failure_kind": None,
    "failure": None,
    "skip_reason": None,
    "warning": None,
    "tolerated": 0,
}
_NO_FAILURE = {"failure_kind": None, "failure": None}
_JOB_RUNNING = {"status": "running", "finished_at": None, "duration_s": None, "failure": None}
_KEPT_IF_SUCCEEDED = "CASE WHEN attempts AND status = 'succeeded' THEN {0} ELSE excluded.{0} END"

_PLACED_ON = {"executor": "coalesce(:executor, executor)"}

STATEMENTS: dict[str, Statement] = {
    "job": Insert(
        JobRow,
        computed={
            "position": "(SELECT position FROM events WHERE job_id = :job_id AND version = 1)"
        },
    ),
    "step": Insert(StepRow),
    "job_amended": Update(JobRow, {**_JOB_RUNNING, "queued": 0}),
    "step_cleared": Update(
        StepRow,
        {
            "started_at": None,
            "finished_at": None,
            "duration_s": None,
            **_NO_RESULT,
            "children": None,
            "reused": None,
            "reused_from": None,
        },
    ),
    "inside_removed": Update(StepRow, {"status": "removed", **_NO_RESULT}),
    "tolerated_dropped": "DELETE FROM tolerated_failures WHERE step_id = :step_id",
    "file_dropped": "DELETE FROM files WHERE file_id = :file_id",
    "step_moved": Insert(
        StepRow,
        on_conflict={
            "provider": _KEPT_IF_SUCCEEDED.format("provider"),
            "model": _KEPT_IF_SUCCEEDED.format("model"),
            "status": "CASE WHEN status = 'removed' THEN 'pending' ELSE status END",
        },
    ),
    "job_started": Update(JobRow),
    "job_resumed": Update(JobRow, _JOB_RUNNING),
    "reopened": "UPDATE steps SET status = iif(children IS NULL, 'pending', 'running'), "
    "failure_kind = NULL, failure = NULL, skip_reason = NULL, finished_at = NULL, "
    f"duration_s = NULL WHERE job_id = :job_id AND status IN {sql_list(NOT_DONE)} "
    "AND NOT tolerated AND name NOT IN (SELECT value FROM json_each(:kept))",
    "recounted": "UPDATE jobs SET (steps_total, steps_succeeded, steps_failed, steps_skipped) = "
    "(SELECT count(*), count(*) FILTER (WHERE status = 'succeeded'), "
    "count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'skipped') "
    "FROM steps WHERE steps.job_id = jobs.job_id AND status <> 'removed') WHERE job_id = :job_id",
    "circuits_reset": "UPDATE circuits SET status = 'closed', closed_at = :closed_at "
    "WHERE job_id = :job_id AND status = 'open'",
    "cache_hit": Insert(CallRow, {"status": "from ledger"}),
    "call_requested": Insert(CallRow, {"rejected": 0, "in_doubt": 0}),
    "step_batched": Update(StepRow),
    "call_responded": Update(CallRow, {"status": "answered"}),
    "step_failed_doubt": _add_doubt("steps", "step_id", "call_id = :call_id"),
    "job_failed_doubt": _add_doubt("jobs", "job_id", "call_id = :call_id"),
    "call_failed": Update(CallRow, {"status": "failed"}),
    "step_cut_doubt": _add_doubt("steps", "step_id", _UNENDED_CALL),
    "job_cut_doubt": _add_doubt("jobs", "job_id", _UNENDED_CALL),
    "call_cut": f"UPDATE llm_calls SET status = 'in doubt', in_doubt = 1 WHERE {_UNENDED_CALL}",
    "step_unbatched": "UPDATE steps SET batch = NULL WHERE step_id = :step_id AND batch IS NOT NULL",
    "step_usage": Update(StepRow, computed=_ADD_USAGE),
    "job_usage": Update(JobRow, computed=_ADD_USAGE),
    # A request that is sent again after a crash asks for the same correction.
    "tolerated": Insert(ToleratedRow, on_conflict={"tolerated_id": "tolerated_id"}),
    "circuit_opened": Insert(
        CircuitRow,
        on_conflict={
            "status": "'open'",
            "closed_at": "NULL",
            "times_opened": "times_opened + 1",
        },
    ),
    "circuit_closed": Update(CircuitRow, {"status": "closed"}),
    "batch_submitted": Insert(BatchRow),
    "batch_accepted": Update(BatchRow, {"status": "accepted"}),
    "batch_progressed": Update(BatchRow),
    "batch_ended": Update(
        BatchRow,
        {"trouble": None},
        {"answered": "coalesce(:answered, answered)", "failed": "coalesce(:failed, failed)"},
    ),
    "tool_called": Insert(ToolRow),
    "tool_returned": Update(ToolRow),
    "file": Insert(
        FileRow,
        on_conflict={},
        # If a later attempt of the step writes the same bytes, the row keeps the first attempt.
        only_if="files.step_id <> excluded.step_id OR files.sha256 <> excluded.sha256 "
        "OR files.mode IS NOT excluded.mode",
    ),
    "step_interrupted": Update(StepRow, {"status": "pending"}),
    "tool_cut": "UPDATE tool_calls SET status = 'in doubt' "
    "WHERE step_id = :step_id AND attempt_id = :attempt_id AND status = 'called'",
    "attempt_ended": Update(AttemptRow),
    # A step with `on_unknown: fail` fails in doubt; its attempt has then failed, in any batch.
    "attempt_doubted": "UPDATE attempts SET status = 'in doubt' WHERE attempt_id = :attempt_id "
    f"AND status = '{INTERRUPTED}' AND ("
    f"((SELECT kind FROM steps WHERE steps.step_id = attempts.step_id) IN {_ONE_ACTION} "
    # No worker was allowed to start it.
    "AND (executor IS NULL OR host IS NOT NULL)) "
    "OR EXISTS (SELECT 1 FROM llm_calls WHERE llm_calls.step_id = attempts.step_id "
    "AND llm_calls.attempt_id = attempts.attempt_id AND llm_calls.status = 'in doubt') "
    "OR EXISTS (SELECT 1 FROM tool_calls WHERE tool_calls.step_id = attempts.step_id "
    "AND tool_calls.attempt_id = attempts.attempt_id AND tool_calls.status = 'in doubt'))",
    "step_succeeded": Update(StepRow, {"status": "succeeded", **_NO_FAILURE}),
    "step_failed": Update(StepRow),
    "calls_rejected": "UPDATE llm_calls SET rejected = 1 WHERE step_id = :step_id",
    "step_short": Update(StepRow, {"status": "waiting", "failure_kind": "budget"}),
    "step_skipped": Update(StepRow, {"status": "skipped"}),
    "step_switched": Update(StepRow),
    "step_started": Update(
        StepRow, {"status": "running"}, {"started_at": "coalesce(started_at, :started_at)"}
    ),
    "score_dropped": "DELETE FROM scores WHERE score_id = :score_id",
    "scores_dropped": "DELETE FROM scores WHERE step_id = :step_id",
    "scores_left": "DELETE FROM scores WHERE job_id = :job_id AND step_id IN "
    "(SELECT step_id FROM steps WHERE job_id = :job_id AND status = 'removed')",
    "attempt": Insert(AttemptRow),
    "step_ran": Update(
        StepRow,
        {"status": "succeeded", "host": None, **_NO_FAILURE},
        {"started_at": "coalesce(started_at, :started_at)"},
    ),
    "step_placed": Update(StepRow, {}, _PLACED_ON),
    "attempt_placed": Update(AttemptRow, {}, _PLACED_ON),
    "step_reused": Update(StepRow, {"status": "succeeded", **_NO_FAILURE}),
    "child": Insert(
        StepRow,
        {},
        {"position": _NUMBER_OF_ROWS, "dimensions": _WITH_THOSE_AROUND},
        on_conflict={
            "dimensions": "excluded.dimensions",
            "provider": "provider",
            "model": "model",
            "status": "'pending'",
            "children": "NULL",
        },
    ),
    "expanded": Update(StepRow),
    "more_steps": Update(JobRow, computed={"steps_total": "steps_total + :added"}),
    "asked": Update(StepRow, {"status": "waiting", "decision": None, "decided_by": None}),
    "decided": Update(StepRow),
    "score": Insert(
        ScoreRow,
        computed={
            "model": "(SELECT model FROM steps WHERE step_id = :step_id)",
            "dimensions": "(SELECT dimensions FROM steps WHERE step_id = :step_id)",
        },
        on_conflict={"model": "excluded.model", "dimensions": "excluded.dimensions"},
    ),
    "tag_removed": "DELETE FROM tags WHERE tag_id = :tag_id",
    "tag": Insert(TagRow, on_conflict={"tag_id": "tag_id"}),
    "note": Insert(NoteRow),
    "counters": Update(
        JobRow,
        computed={
            "steps_succeeded": "steps_succeeded + :succeeded",
            "steps_failed": "steps_failed + :failed",
            "steps_skipped": "steps_skipped + :skipped",
        },
    ),
    "steps_cancelled": "UPDATE steps SET status = 'cancelled', finished_at = :finished_at "
    f"WHERE job_id = :job_id AND status IN {sql_list(OPEN)} "
    "AND name NOT IN (SELECT value FROM json_each(:kept))",
    "job_waiting": Update(JobRow, {"status": "waiting"}),
    "job_interrupted": Update(JobRow),
    "job_ended": Update(
        JobRow,
        {"queued": 0},
        computed={
            "finished_at": ":finished_at",
            # A clock that was set back gives 0, and no negative duration.
            "duration_s": "max(0.0, round((julianday(:finished_at) - julianday(started_at)) * "
            "86400, 3))",
        },
    ),
}
ORDER = tuple(STATEMENTS)
