"""`events.jsonl`: each event as one line of JSON.

The lines are ASCII, so that no character in a text can control a terminal.
"""

from __future__ import annotations

import json
from typing import Any

from orc.ledger.codec import dump_event
from orc.ledger.events import Recorded


def event_object(recorded: Recorded, *, with_hash: bool = True) -> dict[str, Any]:
    """The event as a JSON object: type, job, time and version (`seq`) first, then its own fields.

    The hash of the last line is the stream's head.
    """
    event = recorded.event
    shown: dict[str, Any] = {
        "type": event.type,
        "job_id": recorded.job_id,
        "timestamp": recorded.recorded_at,
        "seq": recorded.version,
    }
    if with_hash and recorded.hash:
        shown["hash"] = recorded.hash
    for name in ("step", "attempt"):
        value = getattr(event, name, None)
        if value is not None:
            shown[name] = value
    return shown | dump_event(event)


def event_line(recorded: Recorded) -> str:
    """The event as one line, without the newline."""
    return render_line(event_object(recorded))


def render_line(shown: dict[str, Any]) -> str:
    """The line of an event's JSON object, without the newline."""
    return json.dumps(shown, ensure_ascii=True).replace("\x7f", "\\u007f")
