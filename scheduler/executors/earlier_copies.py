"""Ends what earlier attempts of a step may have left running, before the next one starts.

An earlier attempt may have failed here because the engine did not answer, or was cancelled while
its worker could not be reached. Its command goes on if the worker still belongs to the engine.
"""

from __future__ import annotations

import trio

from orc.scheduler.executors.contract import Census, Copy, Engine, Ticket
from orc.scheduler.executors.lease_wait import MARGIN_S
from orc.scheduler.executors.orders import Orders

_LOOK_AGAIN_S = 0.2


class EarlierCopies:
    """The copies of a step's earlier attempts. `due_at` is when another census is needed."""

    def __init__(self, engine: Engine, orders: Orders, ticket: Ticket) -> None:
        self.are_over = ticket.attempt == 1
        """Whether none runs, and none can start."""
        self.is_looking = False
        self.due_at = float("inf")
        self._engine = engine
        self._ticket = ticket
        self._orders = orders
        self._began = float("inf")
        self._silent_since: dict[str, float] = {}

    @property
    def is_due(self) -> bool:
        """Whether another census is needed now."""
        return trio.current_time() >= self.due_at

    def begin(self) -> None:
        """From now on, a census counts."""
        self.is_looking, self._began = True, trio.current_time()

    def wait(self) -> None:
        """Another census was asked for."""
        self.due_at = float("inf")

    async def take(self, census: Census, *, began: float) -> None:
        """End the earlier copies in a census; none, and no silent worker, and they are over."""
        if self.are_over or began < self._began:
            return
        earlier = [
            (ticket, copy)
            for copy in census.copies
            if copy.state in ("asking", "running")
            and (ticket := self._earlier(copy.ticket)) is not None
        ]
        for ticket, copy in earlier:
            await self._end(ticket, copy)
        now = trio.current_time()
        self._silent_since = {
            worker: self._silent_since.get(worker, now) for worker in census.silent
        }
        # What runs on a worker that has been silent for so long is dead.
        dead_before = now - self._engine.lease_s - MARGIN_S
        waits = any(since > dead_before for since in self._silent_since.values())
        self.are_over = not earlier and not waits
        self.due_at = float("inf") if self.are_over else now + _LOOK_AGAIN_S

    def _earlier(self, text: str) -> Ticket | None:
        ticket = Ticket.parse(text)
        if ticket is None or (ticket.job_id, ticket.step) != (
            self._ticket.job_id,
            self._ticket.step,
        ):
            return None
        return ticket if ticket.attempt < self._ticket.attempt else None

    async def _end(self, ticket: Ticket, copy: Copy) -> None:
        if copy.state == "asking":
            # A permission may still be on its way to it.
            await self._orders.refuse(ticket, copy.run, copy.worker)
        else:
            await self._orders.cancel(ticket, copy.run, copy.worker)
