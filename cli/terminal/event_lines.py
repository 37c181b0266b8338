"""Prints an event as one line: a short text, or JSON as in `events.jsonl`."""

from __future__ import annotations

import json
from typing import Any

from orc.cli.terminal.text import put, safe
from orc.ledger import Recorded
from orc.projections.folder.jsonl import event_line, event_object


def put_event(recorded: Recorded, *, as_json: bool, with_job: bool = False) -> None:
    """Print the event on one line and flush; `with_job` adds the job's id."""
    if as_json:
        put(event_line(recorded), flush=True)
        return
    shown = event_object(recorded)
    job = f"{recorded.job_id}  " if with_job else ""
    place = f"{job}{recorded.version:>5}  {recorded.recorded_at[11:23]}  {recorded.event.type:<16}"
    step = shown.get("step", "")
    attempt = f" {shown['attempt']}" if "attempt" in shown else ""
    rest = {
        key: value
        for key, value in shown.items()
        if key not in ("type", "job_id", "timestamp", "seq", "hash", "step", "attempt")
    }
    details = "  ".join(f"{key}={_brief(key, value)}" for key, value in rest.items())
    put(safe(f"{place}  {step}{attempt}  {details}".rstrip(), width=200), flush=True)


def _brief(key: str, value: Any) -> str:
    if isinstance(value, dict) and "sha256" in value:
        return f"{value['sha256'][:12]}..."
    if key.endswith("sha256"):
        return f"{value[:12]}..."
    if isinstance(value, dict):
        value = value.get("value", value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
