"""The facts about a job that its hook gets: as JSON on stdin, and as environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orc.cli.jobs.state import failures_of
from orc.ledger import LedgerReader
from orc.ledger.command_lines import command_line, decision_commands
from orc.ledger.values import Failure
from orc.ledger.wording import count_text, visible
from orc.projections.tables.job_view import read_rows
from orc.projections.tables.rows import JobRow
from orc.scheduler.core.fold.evolve import JobState

NAMED_MAX = 50
"""How many failures, or steps that wait, the facts name."""
TEXT_CHARS_MAX = 2000
"""The most characters of the message of a failure, or of a question."""
MESSAGE_CHARS_MAX = 300


def build_facts(
    ledger: LedgerReader, job_id: str, state: JobState, *, folder: Path
) -> dict[str, Any]:
    """The facts as a JSON object; absent ones are None. Its keys are documented in `docs/spec.md`."""
    failures = failures_of(state)
    [row] = read_rows(ledger.connection, JobRow, "job_id = ?", job_id)
    waiting = _waiting(state, job_id) if state.status == "waiting" else []
    return {
        "job_id": job_id,
        "project": state.project,
        "status": state.status,
        "message": _message(state, failures, waiting),
        "spec": row.spec_file,
        "tags": list(state.tags),
        "submitted_at": row.submitted_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "duration_s": row.duration_s,
        "steps": {
            "total": row.steps_total,
            "succeeded": row.steps_succeeded,
            "failed": row.steps_failed,
            "skipped": row.steps_skipped,
        },
        "usage": {
            "calls": row.calls,
            "input_tokens": row.input_tokens,
            "output_tokens": row.output_tokens,
        },
        "cost_usd": row.cost_usd,
        "calls_unpriced": row.calls_unpriced,
        "failures": [
            {"step": one.step, "kind": one.kind, "message": one.message[:TEXT_CHARS_MAX]}
            for one in failures[:NAMED_MAX]
        ],
        "failures_total": len(failures),
        "waiting": waiting[:NAMED_MAX],
        "waiting_total": len(waiting),
        "ledger": str(ledger.path),
        "run_folder": str(folder),
        "commands": _commands(job_id, state.status),
    }


def build_variables(facts: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables with the most important facts. None of them has a line break."""
    return {
        "ORC_JOB_ID": facts["job_id"],
        "ORC_PROJECT": facts["project"],
        "ORC_STATUS": facts["status"],
        "ORC_MESSAGE": facts["message"],
        "ORC_DB": facts["ledger"],
        "ORC_RUN_DIR": facts["run_folder"],
    }


def _commands(job_id: str, status: str) -> dict[str, str]:
    found = {"show": command_line("show", job_id)}
    if status != "succeeded":
        found["resume"] = command_line("resume", job_id)
    return found


def _waiting(state: JobState, job_id: str) -> list[dict[str, Any]]:
    """The steps that wait for a person: what for, the question, and the commands that answer it."""
    found = []
    is_last = not state.is_queued and not state.over_budget
    then = command_line("resume", job_id) if is_last else ""
    for name in sorted(state.questions):
        question = state.steps[name].question
        if question is not None:
            found.append(
                {
                    "step": name,
                    "for": state.steps[name].waits_for,
                    "message": question.message[:TEXT_CHARS_MAX],
                    "commands": dict(
                        zip(
                            question.options,
                            decision_commands(job_id, name, question.options, then=then),
                            strict=True,
                        )
                    ),
                }
            )
    for name in sorted(state.over_budget):
        raised = command_line("resume", job_id, "--budget", "LIMIT=AMOUNT")
        found.append(
            {"step": name, "for": "budget", "message": None, "commands": {"raise": raised}}
        )
    return found


def _message(state: JobState, failures: list[Failure], waiting: list[dict[str, Any]]) -> str:
    """One line for a notification. A model may have written parts of it."""
    text = f"{state.project} {state.status}"
    if state.status == "waiting":
        steps = ", ".join(one["step"] for one in waiting[:3])
        text = f"{state.project} waits for a person: {steps or 'a step'}"
        if len(waiting) > 3:
            text += f", and {count_text(len(waiting) - 3, 'more step')}"
    elif state.status == "failed" and failures:
        first = failures[0]
        text += f": {first.step}: {first.message}" if first.step else f": {first.message}"
    line = visible(" ".join(text.split()))
    return line if len(line) <= MESSAGE_CHARS_MAX else f"{line[: MESSAGE_CHARS_MAX - 3]}..."
