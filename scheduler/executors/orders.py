"""Orders to workers, each with the epoch of the process that gives it: a later owner's copies are safe.

An order may get lost, or come twice. A census shows what came of it.
"""

from __future__ import annotations

from contextlib import suppress

from orc.scheduler.executors.contract import Engine, Ticket
from orc.scheduler.executors.errors import EngineProblem


class Orders:
    """The orders of one owner of a job. Each raises Superseded if there is a later owner."""

    def __init__(self, engine: Engine, epoch: int) -> None:
        self._engine = engine
        self._epoch = epoch

    async def refuse(self, ticket: Ticket, run: str, worker: str) -> bool:
        """Let a copy end without starting; whether that is certain."""
        try:
            await self._engine.refuse(ticket, run, worker, epoch=self._epoch)
        except EngineProblem:
            return False
        return True

    async def cancel(self, ticket: Ticket, run: str, worker: str, *, grace_s: float = 0.0) -> None:
        """End a running copy."""
        with suppress(EngineProblem):
            await self._engine.cancel(ticket, run, worker, epoch=self._epoch, grace_s=grace_s)

    async def forget(self, ticket: Ticket, run: str, worker: str) -> None:
        """Drop what a worker keeps of a copy."""
        with suppress(EngineProblem):
            await self._engine.forget(ticket, run, worker, epoch=self._epoch)
