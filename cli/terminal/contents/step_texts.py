"""A step with the texts that the ledger has of it, and these as values and as exact texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from orc.cli.errors import UsageProblem
from orc.cli.terminal.text import put, put_json, put_piece
from orc.ledger import LedgerReader
from orc.ledger.command_lines import quoted_command
from orc.projections.history.items import ItemLine, read_items
from orc.projections.history.turns import AttemptTurn, CallTurn, output_value, read_attempts
from orc.projections.scores.rows import read_step_scores
from orc.projections.tables.assessments import ScoreRow
from orc.projections.tables.job_view import JobView, read_calls, read_rows
from orc.projections.tables.rows import FileRow, StepRow
from orc.scheduler.core.errors import nearest

ITEMS_MAX = 50


class StepContents(Struct, frozen=True):
    """A step with the texts that the ledger has of it."""

    reader: LedgerReader
    view: JobView
    step: StepRow
    attempts: list[AttemptTurn]
    output: tuple[Any, str | None] | None
    files: list[FileRow]
    items: list[ItemLine]
    scores: list[ScoreRow]
    is_live: bool


def read_contents(
    reader: LedgerReader, view: JobView, name: str, *, up_to: int | None, is_live: bool
) -> StepContents:
    """The step of that name; events after `up_to` are left out. Raises UsageProblem, LedgerError."""
    step = view.by_name.get(name)
    job_id = view.job.job_id
    if step is None:
        raise UsageProblem(f"{job_id} has no step {name!r}{nearest(name, set(view.by_name))}")
    events = [
        recorded
        for recorded in reader.read_step(job_id, name)
        if up_to is None or recorded.version <= up_to
    ]
    calls = read_calls(reader.connection, step.step_id)
    attempts = read_attempts(reader, view, step, events, calls, is_live=is_live, chars=None)
    return StepContents(
        reader,
        view,
        step,
        attempts[::-1],
        output_value(reader, events) if step.status == "succeeded" else None,
        read_rows(reader.connection, FileRow, "step_id = ? ORDER BY path", step.step_id),
        read_items(reader, view, name, first=1, count=ITEMS_MAX),
        read_step_scores(reader.connection, step.step_id),
        is_live,
    )


def _prompt_of(seen: StepContents) -> str:
    """The last text of a user in the first request of the last attempt. Raises UsageProblem."""
    for attempt in reversed(seen.attempts):
        for call in attempt.calls[:1]:
            for turn in reversed(call.exchange.turns):
                if turn.role == "user":
                    return turn.text
            _refuse_lost(call)
    raise UsageProblem(_without(seen, "prompt"))


def _reply_of(seen: StepContents) -> str:
    """The text of the last reply. Raises UsageProblem."""
    for attempt in reversed(seen.attempts):
        for call in reversed(attempt.calls):
            if call.exchange.reply is not None:
                return call.exchange.reply.text
            _refuse_lost(call)
    raise UsageProblem(_without(seen, "reply"))


def _output_of(seen: StepContents) -> Any:
    """The result of the step. Raises UsageProblem."""
    if seen.output is None:
        raise UsageProblem(_without(seen, "result"))
    value, lost = seen.output
    if lost is not None:
        raise UsageProblem(f"the result of {seen.step.name} cannot be shown: {lost}")
    return value


ALONE: Mapping[str, Callable[[StepContents], Any]] = {
    "prompt": _prompt_of,
    "reply": _reply_of,
    "output": _output_of,
}
"""What can be shown of a step and nothing else, by the name of its option."""


def _refuse_lost(call: CallTurn) -> None:
    if call.exchange.lost is not None:
        raise UsageProblem(f"{call.row.name} cannot be shown: {call.exchange.lost}")


def _without(seen: StepContents, what: str) -> str:
    why = quoted_command("why", seen.view.job.job_id, seen.step.name)
    return f"{seen.step.name} has no {what}; {why} says why"


def put_value(job_id: str, step: str, what: str, value: Any, *, as_json: bool) -> None:
    """Print a text exactly as it is, and anything else as JSON; on a terminal, safe."""
    if as_json:
        put_json({"job_id": job_id, "step": step, what: value})
    elif not isinstance(value, str):
        put(json.dumps(value, indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        put(value.removesuffix("\n"))
    else:
        put_piece(value)


def step_texts(seen: StepContents) -> dict[str, Any]:
    """The texts of the step as a JSON value: attempts, output, files."""
    value, lost = seen.output or (None, None)
    return {
        "attempt_texts": [
            {
                "attempt": attempt.row.attempt,
                "status": attempt.state,
                "duration_s": attempt.row.duration_s,
                "exit_code": attempt.row.exit_code,
                "failure_kind": attempt.row.failure_kind,
                "failure": attempt.row.failure,
                "log": None if attempt.log is None else attempt.log.text,
                "calls": list(map(_call_value, attempt.calls)),
            }
            for attempt in seen.attempts
        ],
        "scores_given": list(map(_score_value, seen.scores)),
        "output": value,
        "output_lost": lost,
        "files": [
            {
                "path": file.path,
                "size_bytes": file.size_bytes,
                "media_type": file.media_type,
                "sha256": file.sha256,
            }
            for file in seen.files
        ],
    }


def _score_value(score: ScoreRow) -> dict[str, Any]:
    passed = score.passed
    return {
        "name": score.name,
        "value": score.value if passed is None else bool(passed),
        "error": score.error,
        "why": score.why,
        "who": score.who,
        "by": score.by,
        "recorded_at": score.recorded_at,
    }


def _call_value(call: CallTurn) -> dict[str, Any]:
    texts, row = call.exchange, call.row
    return {
        "call": row.call,
        "provider": row.provider,
        "model": row.model,
        "status": row.status,
        "duration_s": row.duration_s,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cached_tokens": row.cached_tokens,
        "cache_write_tokens": row.cache_write_tokens,
        "cost_usd": row.cost_usd,
        "reported_usd": row.reported_usd,
        "failure": row.failure,
        "params": dict(texts.params or {}),
        "system": texts.system,
        "messages": [
            {"role": turn.role, "text": turn.text, "tool": turn.tool} for turn in texts.turns
        ],
        "reply": None if texts.reply is None else texts.reply.text,
        "reasoning": None if texts.reply is None else texts.reply.reasoning or None,
        "tools": [
            {
                "tool": tool.row.tool,
                "status": tool.row.status,
                "arguments": tool.arguments.text,
                "result": None if tool.result is None else tool.result.text,
            }
            for tool in call.tools
        ],
        "lost": texts.lost,
    }
