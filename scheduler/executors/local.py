"""The executor `local`: it performs work on this machine, in process groups of this process."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import trio

from orc.ledger.definition import LimitsDef
from orc.ledger.secrets.masking import Mask
from orc.scheduler.effects.contract import (
    CommandRequest,
    FunctionRequest,
    attempt_timeout_message,
)
from orc.scheduler.effects.deadlines import cut_at
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.python import WorkerPool
from orc.scheduler.effects.run import run_command
from orc.scheduler.executors.contract import (
    Broken,
    LocalAttempt,
    Placement,
    Ticket,
    Work,
    WorkLimits,
    WorkOutcome,
)
from orc.scheduler.executors.surroundings import local_environment, passed_on

_KNOWN_LIMITS_MAX = 64
_LATE = WorkOutcome(broken=Broken("timeout", ""))


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
        self._environment = passed_on(environment)
        self._mask = mask

    async def perform(
        self, attempt: LocalAttempt, work: Work, *, placed: Placement | None = None
    ) -> WorkOutcome:
        """See `Executor.perform`."""
        started = trio.current_time()
        limit_s = work.timeout_s
        deadline = math.inf if limit_s is None else started + limit_s
        outcome = _LATE
        if work.kind == "command":
            outcome = await self._run(attempt, work, deadline)
        else:
            with cut_at(deadline):
                outcome = await self._call(attempt, work)
        if outcome.broken is not None and outcome.broken.kind == "timeout":
            broken = Broken("timeout", attempt_timeout_message(limit_s or 0.0))
            duration_s = round(trio.current_time() - started, 6)
            return WorkOutcome(broken=broken, duration_s=duration_s)
        return outcome

    async def forget(self, ticket: Ticket) -> None:
        """See `Executor.forget`: nothing is kept."""

    async def _run(self, attempt: LocalAttempt, work: Work, deadline: float) -> WorkOutcome:
        command = CommandRequest(
            argv=work.argv,
            env=self._env(attempt, work),
            cwd=attempt.places[work.cwd],
            log_path=attempt.log_path,
            limits=_limits(work.limits),
        )
        return await run_command(command, groups=self._groups, mask=self._mask, deadline=deadline)

    async def _call(self, attempt: LocalAttempt, work: Work) -> WorkOutcome:
        function = FunctionRequest(
            function=work.function,
            args=work.args,
            env=self._env(attempt, work),
            cwd=attempt.places[work.cwd],
            log_path=attempt.log_path,
            import_dir=attempt.places["spec"],
            secrets=work.secrets,
            limits=_limits(work.limits),
        )
        return await self._workers.perform(function)

    def _env(self, attempt: LocalAttempt, work: Work) -> dict[str, str]:
        return local_environment(work, attempt.places, attempt.secrets, self._environment)


@lru_cache(_KNOWN_LIMITS_MAX)
def _limits(limits: WorkLimits) -> LimitsDef:
    return LimitsDef(
        file_bytes=limits.file_bytes,
        output_bytes=limits.output_bytes,
        log_bytes=limits.log_bytes,
    )
