"""What executors run of a job that has no owner, and how it ends before other work takes its place.

A new owner adopts an attempt where it was placed. Before the job is cancelled or amended, or goes on
with another executor, the commands are ended there: otherwise two attempts of a step could run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from msgspec import Struct

from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.cli.jobs.caller.executors import open_executors
from orc.ledger import JobId
from orc.ledger.command_lines import quoted_command
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.placing import open_remote
from orc.scheduler.core.placing_commands import WorkerPlace

if TYPE_CHECKING:
    from orc.scheduler.executors.remote import RemoteExecutor

_NAMED_MAX = 5


class LeftRunning(Struct, frozen=True):
    """An attempt that no process follows, and the worker on which its command may run."""

    step: str
    attempt: int
    place: WorkerPlace


def left_running(state: JobState) -> list[LeftRunning]:
    """The open attempts of a job without an owner that were placed on workers."""
    return [
        LeftRunning(step_id, attempt, place)
        for step_id, attempt, place in open_remote(state)
        if place is not None
    ]


def left_behind(state: JobState, connected: Collection[RemoteExecutor]) -> list[LeftRunning]:
    """Those of `left_running` that the executor of their step, as it is connected, cannot adopt.

    One with the name of the placement can: its engine may have been started again. So can the same
    engine under another name.
    """
    executors = {executor.name: executor for executor in connected}
    found = []
    for one in left_running(state):
        executor = executors[state.graph.steps[one.step].executor]
        if one.place.executor != executor.site_name and one.place.engine != executor.engine_id:
            found.append(one)
    return found


async def end_elsewhere(
    job_id: JobId,
    left: Collection[LeftRunning],
    *,
    epoch: int,
    database: Path,
    environment: Mapping[str, str],
    force: bool = False,
) -> None:
    """End these commands on their executors, and wait until none runs there.

    `epoch` is that of the job's last owner. With `force`, executors that cannot be reached are left
    alone. Raises EnvironmentProblem, and SpecError for the site file.
    """
    names = {one.place.executor for one in left}
    # With `force`, an executor that cannot be reached keeps no other from ending its commands.
    for together in [{name} for name in sorted(names)] if force else [names]:
        connecting = open_executors(
            together, (), database=database, environment=environment, renamed={}
        )
        try:
            async with connecting as executors:
                await _end_on(executors, job_id, left, epoch)
        except (EnvironmentProblem, UsageProblem, SpecError) as error:
            if force:
                continue
            if isinstance(error, SpecError):
                raise
            steps = ", ".join(one.step for one in [*left][:_NAMED_MAX])
            raise EnvironmentProblem(
                f"{job_id}: {steps} may still run there: {error}. Try again when it can be "
                f"reached, or {quoted_command('cancel', '--force', job_id)}, which ends the job only"
            ) from error


async def _end_on(
    executors: Collection[RemoteExecutor],
    job_id: JobId,
    left: Collection[LeftRunning],
    epoch: int,
) -> None:
    # Imported here, since most jobs have no such steps.
    from orc.scheduler.effects.groups import GRACE_S
    from orc.scheduler.executors.contract import Ticket
    from orc.scheduler.executors.ending import end_commands

    async with trio.open_nursery() as nursery:
        for executor in executors:
            own = [
                (Ticket(job_id, one.step, one.attempt), one.place)
                for one in left
                if one.place.executor == executor.site_name
            ]
            end = partial(end_commands, job_id=job_id, epoch=epoch, grace_s=GRACE_S)
            nursery.start_soon(end, executor.engine, own)
