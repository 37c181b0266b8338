"""Prints events as one line each: a short text, or JSON as in `events.jsonl`."""

from __future__ import annotations

import json
from typing import Any

from orc.cli.terminal.text import put, safe, say
from orc.ledger import LedgerReader, Recorded
from orc.ledger.kinds import JOB_ENDED
from orc.projections.folder.jsonl import event_line, event_object
from orc.projections.folds.tolerance_fold import ToleranceFold

_LINE_CHARS_MAX = 200
_VALUE_CHARS_MAX = 60
_ENDS = tuple(f"job.{status}" for status in JOB_ENDED)


class EventLines:
    """Prints events of one ledger; `with_job` adds the job's id to each line.

    The line of a job's end says how many failures were tolerated.
    """

    def __init__(self, ledger: LedgerReader, *, as_json: bool, with_job: bool = False) -> None:
        self._ledger = ledger
        self._as_json = as_json
        self._with_job = with_job
        self._has_cut = False

    def put(self, recorded: Recorded) -> None:
        """Print the event on one line and flush."""
        if self._as_json:
            put(event_line(recorded), flush=True)
            return
        line = self._line(recorded)
        if recorded.event.type in _ENDS:
            line = f"{line}  {self._tolerated(recorded)}".rstrip()
        self._has_cut |= len(line) > _LINE_CHARS_MAX
        put(safe(line, width=_LINE_CHARS_MAX), flush=True)

    def finish(self) -> None:
        """Say which option shows what was cut, if anything was."""
        if self._has_cut:
            say("texts that end in ... are cut: --json prints each event in full")

    def _line(self, recorded: Recorded) -> str:
        shown = event_object(recorded)
        job = f"{recorded.job_id}  " if self._with_job else ""
        place = (
            f"{job}{recorded.version:>5}  {recorded.recorded_at[11:23]}  {recorded.event.type:<16}"
        )
        step = shown.get("step", "")
        attempt = f" {shown['attempt']}" if "attempt" in shown else ""
        rest = {
            key: value
            for key, value in shown.items()
            if key not in ("type", "job_id", "timestamp", "seq", "hash", "step", "attempt")
        }
        details = "  ".join(f"{key}={self._brief(key, value)}" for key, value in rest.items())
        return f"{place}  {step}{attempt}  {details}".rstrip()

    def _brief(self, key: str, value: Any) -> str:
        if isinstance(value, dict) and "sha256" in value:
            return f"{value['sha256'][:12]}..."
        if key.endswith("sha256"):
            return f"{value[:12]}..."
        if isinstance(value, dict):
            value = value.get("value", value)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text) <= _VALUE_CHARS_MAX:
            return text
        self._has_cut = True
        return f"{text[: _VALUE_CHARS_MAX - 3]}..."

    def _tolerated(self, recorded: Recorded) -> str:
        """The tolerated failures of the job up to its end."""
        found = ToleranceFold()
        for each in self._ledger.read_stream(recorded.job_id):
            if each.version > recorded.version:
                break
            found.apply(each)
        tolerated = found.of_job()
        return f"{tolerated.summary()}: {tolerated.text()}" if tolerated.total else ""
