"""Rules for hooks: which one starts when a run of the job has ended, and how its end is recorded.

A start is committed with the event that is its occasion, so that each occasion has at most one. A
start without an end means that the process died: the command may have run, and it never runs again
for that occasion.
"""

from __future__ import annotations

from orc.ledger.definition import REPLAY
from orc.ledger.events import AnyEvent, HookEnded, HookStarted
from orc.scheduler.core.fold.batches import wait_only_for_batches
from orc.scheduler.core.fold.state import JobState
from orc.scheduler.core.hook_commands import EndHook, StartHook

LOST_HOOK = EndHook(
    "unknown", message="the process that ran it died; it may have run, and is not run again"
)


def hook_events(state: JobState, command: StartHook | EndHook) -> list[AnyEvent]:
    """The start of the hook for the job's status, if the job has one; or the end of the open hook.

    On recorded replies nothing happens that others should know of, nor when a job is left while
    servers work on its batches: no hook starts.
    """
    if isinstance(command, EndHook):
        return _end(state, command)
    is_rehearsal = REPLAY in (state.definition.provider, state.provider_override)
    if state.hook is not None or is_rehearsal or wait_only_for_batches(state):
        return []
    return [
        HookStarted(hook=name, occasion=state.version)
        for name in state.definition.hooks
        if name == state.status
    ]


def lost_hook(state: JobState) -> list[AnyEvent]:
    """The end of a hook whose process died; empty if there is none."""
    return [] if state.hook is None else _end(state, LOST_HOOK)


def _end(state: JobState, command: EndHook) -> list[AnyEvent]:
    assert state.hook is not None
    return [
        HookEnded(
            hook=state.hook.hook,
            occasion=state.hook.occasion,
            outcome=command.outcome,
            exit_code=command.exit_code,
            signal=command.signal,
            message=command.message,
            duration_s=command.duration_s,
            log=command.log,
        )
    ]
