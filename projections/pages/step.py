"""The page of one step: its explanation, its attempts with prompts and replies, its result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orc.ledger.definition import dump_step
from orc.ledger.events import (
    Payload,
    Recorded,
    StepFailed,
    StepInterrupted,
    StepReused,
    StepSucceeded,
    ToolCalled,
    ToolReturned,
)
from orc.ledger.kinds import NOT_LIVE, OPEN
from orc.ledger.reader import LedgerReader
from orc.projections.history.definitions import read_or_lost, read_spec
from orc.projections.history.exchange import Exchange, read_exchange
from orc.projections.pages.links import Links
from orc.projections.pages.render import TEXT_CHARS
from orc.projections.tables.job_view import JobView, read_calls, read_rows, read_tools, read_view
from orc.projections.tables.questions import answers_to
from orc.projections.tables.rows import AttemptRow, CallRow, FileRow, StepRow, ToolRow
from orc.projections.tables.status import shown_status, step_state
from orc.projections.why.step import read_why

CALLS_MAX = 60
"""The number of calls that a page shows with their texts; the table of calls has all of them."""


@dataclass(frozen=True, slots=True)
class ShownText:
    """The beginning of a text of `chars` characters in the blob `digest`.

    `lost` says why the ledger no longer has the text. A file that `is_large` can only be downloaded.
    """

    text: str = ""
    chars: int = 0
    digest: str | None = None
    lost: str | None = None
    is_large: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether only the beginning of the text is here."""
        return self.chars > len(self.text)


@dataclass(frozen=True, slots=True)
class ToolTurn:
    """A call of a tool: its arguments, and the result that the model received."""

    row: ToolRow
    arguments: ShownText
    result: ShownText | None


@dataclass(frozen=True, slots=True)
class CallTurn:
    """A call to a model with its texts, and the calls of tools that its reply requested."""

    row: CallRow
    exchange: Exchange
    tools: tuple[ToolTurn, ...]


@dataclass(frozen=True, slots=True)
class AttemptTurn:
    """An attempt: its row, its log and its calls.

    `state` is its status, but `interrupted` if its process ended and no event says so yet, and
    `waiting` if the step waits for a person in it.
    """

    row: AttemptRow
    state: str
    log: ShownText | None
    calls: tuple[CallTurn, ...]


def read_step(
    reader: LedgerReader, database: Path, job_id: str, name: str, links: Links
) -> dict[str, Any] | None:
    """The values of the template `step.html`; None if the job has no such step. Raises LedgerError."""
    connection = reader.connection
    view = read_view(connection, job_id)
    step = view.by_name.get(name)
    if step is None:
        return None
    status = shown_status(connection, database, job_id, view.job.status)
    state = step_state(view, step, is_live=status not in NOT_LIVE)
    events = list(reader.read_step(job_id, name))
    calls = read_calls(connection, step.step_id)
    definition = read_spec(reader, job_id).step(name)
    return {
        "job": view.job,
        "step": step,
        "answers": answers_to(reader, job_id, name) if step.question else [],
        "state": state,
        "is_open": state in OPEN,
        "is_live": status not in NOT_LIVE,
        "used": view.usage[name],
        "tolerated": view.tolerated.get(name),
        "why": read_why(reader, job_id, name, is_live=status == "running"),
        "attempts": read_attempts(
            reader, view, step, events, calls[:CALLS_MAX], is_live=status not in NOT_LIVE
        ),
        "calls_left": max(0, len(calls) - CALLS_MAX),
        "output": read_output(reader, events),
        "definition": _pretty({} if definition is None else dump_step(definition)),
        "files": read_rows(connection, FileRow, "job_id = ? AND step_id = ?", job_id, step.step_id),
        "needs": [view.by_name[need] for need in step.needed if need in view.by_name],
        "dependents": [other for other in view.steps if name in other.needed],
        "children": view.children_of.get(name, []),
        "links": links,
    }


def cut_text(text: str, digest: str | None = None) -> ShownText:
    """The beginning of a text that the ledger has."""
    return ShownText(text[:TEXT_CHARS], len(text), digest)


def read_attempts(
    reader: LedgerReader,
    view: JobView,
    step: StepRow,
    events: list[Recorded],
    calls: list[CallRow],
    *,
    is_live: bool,
) -> list[AttemptTurn]:
    """The attempts of a step, the last one first, with the texts of `calls`.

    `events` are the events of the step; `is_live` says whether a process runs the job. Raises
    LedgerError.
    """
    state = step_state(view, step, is_live=is_live)
    logs: dict[int, ShownText] = {}
    tools: dict[str, tuple[Payload, Payload | None]] = {}
    for recorded in events:
        event = recorded.event
        match event:
            case StepSucceeded() | StepFailed() | StepInterrupted() if event.log is not None:
                logs[event.attempt] = _text(reader, event.log)
            case ToolCalled():
                tools[_tool_id(step, event)] = (event.arguments, None)
            case ToolReturned():
                given = tools.get(_tool_id(step, event), (Payload(), None))[0]
                tools[_tool_id(step, event)] = (given, event.result)
            case _:
                pass
    rows = read_tools(reader.connection, step.step_id)
    turns = [
        CallTurn(
            call,
            read_exchange(reader, call),
            tuple(
                _tool_turn(reader, row, *tools.get(row.tool_call_id, (Payload(), None)))
                for row in rows
                if row.call_id == call.call_id
            ),
        )
        for call in calls
    ]
    return [
        AttemptTurn(
            attempt,
            state if attempt.status == "running" else attempt.status,
            logs.get(attempt.attempt),
            tuple(turn for turn in turns if turn.row.attempt_id == attempt.attempt_id),
        )
        for attempt in reversed(view.attempts_of.get(step.name, []))
    ]


def _tool_id(step: StepRow, event: ToolCalled | ToolReturned) -> str:
    return f"{step.step_id}/{event.attempt}/{event.call}/{event.key[:16]}"


def _tool_turn(
    reader: LedgerReader, row: ToolRow, arguments: Payload, result: Payload | None
) -> ToolTurn:
    return ToolTurn(
        row, _text(reader, arguments), None if result is None else _text(reader, result)
    )


def read_output(reader: LedgerReader, events: list[Recorded]) -> ShownText | None:
    """The result of the step after `events`, or None."""
    found: Payload | None = None
    for recorded in events:
        match recorded.event:
            case StepSucceeded() | StepReused():
                found = recorded.event.output
            case StepFailed():
                found = None
            case _:
                pass
    return None if found is None else _text(reader, found)


def _text(reader: LedgerReader, payload: Payload) -> ShownText:
    value, lost = read_or_lost(reader, payload)
    if lost is not None:
        return ShownText(digest=payload.sha256, lost=lost)
    return cut_text(value if isinstance(value, str) else _pretty(value), payload.sha256)


def _pretty(value: Any) -> str:
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
