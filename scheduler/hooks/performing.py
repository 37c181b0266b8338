"""Performs the hook that a run of a job has started: its command, until it ends, is late or is cut.

The command is no part of the job: it gets no files of steps, and its end changes nothing but the
record of it. While it runs, the owner still answers signals, so that nobody waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import trio
from msgspec import Struct
from msgspec.structs import replace

from orc.ledger import JobId, LedgerReader
from orc.ledger.definition import HookDef, LimitsDef
from orc.ledger.files.private_folder import HOOK, PrivateFolder
from orc.ledger.files.project_places import spec_folder
from orc.ledger.packing import pack_bytes
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import duration_text
from orc.scheduler.core.commands import CancelJob
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.hook_commands import EndHook
from orc.scheduler.effects.contract import CommandRequest
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.run import run_command
from orc.scheduler.executors.contract import INHERITED, Work, WorkOutcome
from orc.scheduler.executors.surroundings import local_environment
from orc.scheduler.inputs.values import InputReads
from orc.scheduler.signals import poll_signals
from orc.scheduler.step_environment import (
    job_variables,
    read_secrets,
    render_command,
    render_env,
    variable,
)
from orc.scheduler.stopping import OpenStops
from orc.scheduler.turn import Message

LOG_BYTES_MAX = 64 * 1024
"""How much of what a hook prints is recorded."""
GRACE_S = 5.0

Apply = Callable[[Message], None]
"""Records what another process asks of the owner while the hook runs."""


class HookPlace(Struct, frozen=True):
    """Where a hook runs: its job, and what its command gets.

    `facts` are the facts about the job as JSON; `variables` are added to its environment.
    """

    job_id: JobId
    state: JobState
    ledger: LedgerReader
    folder: Path
    environment: Mapping[str, str]
    mask: Mask
    facts: Mapping[str, Any]
    variables: Mapping[str, str]


async def perform_hook(place: HookPlace, *, open_stops: OpenStops, apply: Apply) -> Message:
    """Run the command of the started hook; the command for its end. No failure is raised.

    A stop request or a cancellation of the job by another process ends the command.
    """
    started = place.state.hook
    assert started is not None
    hook = place.state.definition.hooks[started.hook]
    outcome: Message | None = None
    try:
        private = PrivateFolder(HOOK)
    except OSError as error:
        return Message(EndHook("not_started", message=place.mask.text(str(error))))
    with private as folder:
        try:
            request = _request(hook, place, folder)
        except (TemplateError, OSError, ValueError) as error:
            return Message(EndHook("not_started", message=place.mask.text(str(error))))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_heed_stops, open_stops, nursery.cancel_scope)
            nursery.start_soon(_heed_signals, place, apply, nursery.cancel_scope)
            began = trio.current_time()
            try:
                outcome = await _run(hook, request, place.mask)
            finally:
                if outcome is None:
                    seconds = round(trio.current_time() - began, 6)
                    message = "orc was stopped, and ended it"
                    end = EndHook("stop", message=message, duration_s=seconds)
                    outcome = _with_log(end, Path(request.log_path))
            nursery.cancel_scope.cancel()
    return outcome


def _request(hook: HookDef, place: HookPlace, folder: Path) -> CommandRequest:
    """The command, with its facts in a file of the folder. Raises TemplateError, OSError."""
    definition, submitted = place.state.definition, place.state.submitted
    assert submitted is not None
    reads = InputReads(definition, place.ledger, place.mask)
    scope = job_variables(
        definition, reads, caller=place.environment, mask=place.mask, job_id=place.job_id
    )
    argv, values = render_command(hook.run, scope)
    beside = spec_folder(submitted, place.ledger.path) / hook.folder
    cwd = beside if beside.is_dir() else place.folder
    env = render_env(definition.env, {}, caller=place.environment)
    env |= render_env(hook.env, scope, caller=place.environment)
    env |= {**place.variables, **values, "ORC_SPEC_DIR": str(beside)}
    for name, value in env.items():
        variable(value, name)
    facts = folder / "facts.json"
    facts.write_text(json.dumps(place.facts, ensure_ascii=False) + "\n", encoding="utf-8")
    work = Work(kind="command", argv=argv, env=env, places={}, inherited=INHERITED)
    secrets = read_secrets(hook.secrets, caller=place.environment)
    return CommandRequest(
        argv=argv,
        env=local_environment(work, {}, secrets, place.environment),
        cwd=str(cwd),
        log_path=f"{folder}/log",
        limits=LimitsDef(log_bytes=LOG_BYTES_MAX),
        stdin=facts,
    )


async def _run(hook: HookDef, request: CommandRequest, mask: Mask) -> Message:
    groups = ProcessGroups(grace_s=GRACE_S)
    try:
        deadline = trio.current_time() + hook.timeout_s
        ended = await run_command(request, groups=groups, mask=mask, deadline=deadline)
    finally:
        groups.close()
    return _with_log(_end(ended, hook), Path(request.log_path))


def _end(ended: WorkOutcome, hook: HookDef) -> EndHook:
    broken, seconds = ended.broken, ended.duration_s
    if broken is None:
        return EndHook("exited", exit_code=ended.exit_code, signal=ended.signal, duration_s=seconds)
    if broken.kind == "timeout":
        message = f"it took longer than its timeout of {duration_text(hook.timeout_s)}"
        return EndHook("timeout", message=message, duration_s=seconds)
    if broken.kind == "environment":
        return EndHook("not_started", message=broken.message)
    return EndHook("stop", message=broken.message, duration_s=seconds)


def _with_log(end: EndHook, path: Path) -> Message:
    """The command for the end, with what the hook printed."""
    try:
        content = path.read_bytes()
    except OSError:
        return Message(end)
    log, blob = pack_bytes(content)
    return Message(replace(end, log=log), () if blob is None else (blob,))


async def _heed_stops(open_stops: OpenStops, scope: trio.CancelScope) -> None:
    async with open_stops() as received:
        async for _ in received:
            scope.cancel()


async def _heed_signals(place: HookPlace, apply: Apply, scope: trio.CancelScope) -> None:
    """Apply what other processes ask of the owner; a cancellation ends the hook first."""
    send, receive = trio.open_memory_channel[Message](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll_signals, place.ledger, place.job_id, place.state, send, place.mask)
        async for message in receive:
            if isinstance(message.command, CancelJob):
                scope.cancel()
            else:
                apply(message)
