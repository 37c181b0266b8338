"""The executor `local`: it performs work on this machine, in process groups of this process."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from orc.ledger.definition import LimitsDef
from orc.ledger.secrets.masking import Mask
from orc.scheduler.effects.contract import (
    CommandRequest,
    FunctionRequest,
    attempt_timeout_message,
)
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.python import WorkerPool
from orc.scheduler.effects.run import run_command
from orc.scheduler.executors.contract import (
    Broken,
    LocalAttempt,
    Placement,
    Ticket,
    Work,
    WorkOutcome,
)
from orc.scheduler.executors.surroundings import local_environment


class LocalExecutor:
    """Performs work at once, in the folders of the attempt. Nothing of it survives this process."""

    name = "local"

    def __init__(
        self,
        *,
        groups: ProcessGroups,
        workers: WorkerPool,
        environment: Mapping[str, str],
        mask: Mask,
    ) -> None:
        self._groups = groups
        self._workers = workers
        self._environment = environment
        self._mask = mask

    async def perform(
        self, attempt: LocalAttempt, work: Work, *, placed: Placement | None = None
    ) -> WorkOutcome:
        """See `Executor.perform`."""
        started = trio.current_time()
        limit_s = work.timeout_s
        with trio.move_on_after(float("inf") if limit_s is None else limit_s):
            return await self._perform(attempt, work)
        return WorkOutcome(
            broken=Broken("timeout", attempt_timeout_message(limit_s or 0.0)),
            duration_s=round(trio.current_time() - started, 6),
        )

    async def forget(self, ticket: Ticket) -> None:
        """See `Executor.forget`: nothing is kept."""

    async def _perform(self, attempt: LocalAttempt, work: Work) -> WorkOutcome:
        env = local_environment(work, attempt.places, attempt.secrets, self._environment)
        limits = LimitsDef(
            file_bytes=work.limits.file_bytes,
            output_bytes=work.limits.output_bytes,
            log_bytes=work.limits.log_bytes,
        )
        if work.kind == "command":
            command = CommandRequest(
                argv=work.argv,
                env=env,
                cwd=attempt.places[work.cwd],
                log_path=attempt.log_path,
                limits=limits,
            )
            return await run_command(command, groups=self._groups, mask=self._mask)
        function = FunctionRequest(
            function=work.function,
            args=work.args,
            env=env,
            cwd=attempt.places[work.cwd],
            log_path=attempt.log_path,
            import_dir=str(attempt.places["spec"]),
            secrets=work.secrets,
            limits=limits,
        )
        return await self._workers.perform(function)
