"""Why a job is ended before its end, and what becomes of an attempt that this cuts short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orc.scheduler.core.commands import (
    CancelJob,
    Command,
    Failed,
    Interrupted,
    InterruptJob,
    Outcome,
    TimeOutJob,
)
from orc.scheduler.core.durations import format_duration
from orc.scheduler.core.fold.evolve import JobState

StopCommand = CancelJob | InterruptJob | TimeOutJob


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the runner is ending the job before its end."""

    reason: Literal["signal", "cancel", "timeout"]
    command: Command

    @classmethod
    def by(cls, command: StopCommand) -> Stop:
        """What the command asks for."""
        match command:
            case CancelJob():
                return cls("cancel", command)
            case InterruptJob():
                return cls("signal", command)
            case TimeOutJob():
                return cls("timeout", command)


def cut_short(state: JobState, step_id: str, stop: Stop | None, duration_s: float) -> Outcome:
    """What an attempt ends in that was cut short; without a stop, by its own total time."""
    if stop is None:
        limit_s = state.graph.steps[step_id].total_timeout_s or 0.0
        message = f"its total_timeout of {format_duration(limit_s)} is over"
        return Failed("timeout", message, duration_s, final=True)
    if stop.reason == "timeout":
        limit_s = state.timeout_s or 0.0
        message = f"the job's timeout of {format_duration(limit_s)} is over"
        return Failed("timeout", message, duration_s, final=True, tolerable=False)
    return Interrupted(stop.reason, duration_s)
