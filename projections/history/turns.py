"""The texts of a step for people: its attempts with their calls, tools and logs, and its result."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct

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
from orc.ledger.reader import LedgerReader
from orc.projections.history.definitions import read_or_lost
from orc.projections.history.exchange import Exchange, read_exchange
from orc.projections.tables.job_view import JobView, read_tools
from orc.projections.tables.rows import AttemptRow, CallRow, StepRow, ToolRow
from orc.projections.tables.status import step_state

TEXT_CHARS = 20_000
"""The number of characters of a text that a page shows; a link leads to the whole text."""


class ShownText(Struct, frozen=True):
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


class ToolTurn(Struct, frozen=True):
    """A call of a tool: its arguments, and the result that the model received."""

    row: ToolRow
    arguments: ShownText
    result: ShownText | None


class CallTurn(Struct, frozen=True):
    """A call to a model with its texts, and the calls of tools that its reply requested."""

    row: CallRow
    exchange: Exchange
    tools: tuple[ToolTurn, ...]


class AttemptTurn(Struct, frozen=True):
    """An attempt: its row, its log and its calls.

    `state` is its status, but `interrupted` if its process ended and no event says so yet, and
    `waiting` if the step waits for a person in it. `is_growing` is whether `log` is what the attempt
    has printed so far.
    """

    row: AttemptRow
    state: str
    log: ShownText | None
    calls: tuple[CallTurn, ...]
    is_growing: bool = False


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
    chars: int | None = TEXT_CHARS,
) -> list[AttemptTurn]:
    """The attempts of a step, the last one first, with the texts of `calls`.

    Logs, arguments and results of tools have at most `chars` characters. `events` are the events
    of the step; `is_live` says whether a process runs the job. Raises LedgerError.
    """
    state = step_state(view, step, is_live=is_live)
    logs: dict[int, ShownText] = {}
    tools: dict[str, tuple[Payload, Payload | None]] = {}
    for recorded in events:
        event = recorded.event
        match event:
            case StepSucceeded() | StepFailed() | StepInterrupted() if event.log is not None:
                logs[event.attempt] = _text(reader, event.log, chars)
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
                _tool_turn(reader, row, *tools.get(row.tool_call_id, (Payload(), None)), chars)
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
    reader: LedgerReader,
    row: ToolRow,
    arguments: Payload,
    result: Payload | None,
    chars: int | None,
) -> ToolTurn:
    shown = None if result is None else _text(reader, result, chars)
    return ToolTurn(row, _text(reader, arguments, chars), shown)


def read_output(reader: LedgerReader, events: list[Recorded]) -> ShownText | None:
    """The beginning of the result of the step after `events`, or None."""
    found = _output_of(events)
    return None if found is None else _text(reader, found, TEXT_CHARS)


def output_value(reader: LedgerReader, events: list[Recorded]) -> tuple[Any, str | None] | None:
    """The result of the step after `events` and None, or None and why it is lost; None without one."""
    found = _output_of(events)
    return None if found is None else read_or_lost(reader, found)


def _output_of(events: list[Recorded]) -> Payload | None:
    found: Payload | None = None
    for recorded in events:
        match recorded.event:
            case StepSucceeded() | StepReused():
                found = recorded.event.output
            case StepFailed():
                found = None
            case _:
                pass
    return found


def _text(reader: LedgerReader, payload: Payload, chars: int | None) -> ShownText:
    value, lost = read_or_lost(reader, payload)
    if lost is not None:
        return ShownText(digest=payload.sha256, lost=lost)
    text = value if isinstance(value, str) else pretty(value)
    return ShownText(text[:chars], len(text), payload.sha256)


def pretty(value: Any) -> str:
    """A value as JSON on several lines; empty for None."""
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
