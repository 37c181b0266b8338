"""`events.jsonl`: an event as one line of JSON, in ASCII so that no terminal is fooled by it."""

from __future__ import annotations

import json
from typing import Any

from ledger.codec import dump_event
from ledger.events import Recorded


def event_object(recorded: Recorded) -> dict[str, Any]:
    """The event as `events.jsonl` shows it: its place first, then its own fields."""
    event = recorded.event
    shown: dict[str, Any] = {
        "type": event.type,
        "job_id": recorded.job_id,
        "timestamp": recorded.recorded_at,
        "seq": recorded.version,
    }
    for name in ("step", "attempt"):
        value = getattr(event, name, None)
        if value is not None:
            shown[name] = value
    return shown | dump_event(event)


def event_line(recorded: Recorded) -> str:
    """The event as one line, without its newline."""
    return json.dumps(event_object(recorded), ensure_ascii=True).replace("\x7f", "\\u007f")
