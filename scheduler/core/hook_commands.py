"""The commands for the hooks of a job; see `commands.py` for the others."""

from __future__ import annotations

from msgspec import Struct

from orc.ledger.events import HookOutcome, Payload


class StartHook(Struct, frozen=True):
    """Start the hook for the way in which the run has ended, if the job has one.

    It must follow the event that ended the run at once.
    """


class EndHook(Struct, frozen=True):
    """Record the end of the hook that was started."""

    outcome: HookOutcome
    exit_code: int | None = None
    signal: str | None = None
    message: str | None = None
    duration_s: float | None = None
    log: Payload | None = None
