"""Commits where attempts are placed, for executors on other machines."""

from __future__ import annotations

import trio

from orc.ledger import failpoints
from orc.scheduler.core.commands import Command
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.placing_commands import PlaceAttempt, ReattachAttempt, UnplaceAttempt
from orc.scheduler.executors.contract import Lost, Placement, Superseded, Ticket
from orc.scheduler.turn import Message


class PlacingJournal:
    """The placements of one job's attempts; see `contract.Attempt`. `send` leads to the runner."""

    def __init__(self, state: JobState, send: trio.MemorySendChannel[Message]) -> None:
        self._state = state
        self._send = send
        self._waiting: set[trio.Event] = set()
        self._is_closed = False

    @property
    def epoch(self) -> int:
        """The version of the job's last `job.started` or `job.resumed`."""
        return self._state.epoch

    async def place(self, ticket: Ticket, placement: Placement) -> None:
        """See `Attempt.place`. Raises Lost if the attempt has ended in the meantime."""
        failpoints.hit("placed.before_commit")
        await self._commit(PlaceAttempt(ticket.step, ticket.attempt, placement))
        if self._state.steps[ticket.step].placement != placement:
            raise Lost(f"{ticket} was given up before it was placed")
        failpoints.hit("placed.after_commit")

    async def unplace(self, ticket: Ticket, run: str, reason: str) -> None:
        """See `Attempt.unplace`."""
        await self._commit(UnplaceAttempt(ticket.step, ticket.attempt, run, reason))

    async def reattach(self, ticket: Ticket, run: str) -> None:
        """See `Attempt.reattach`."""
        await self._commit(ReattachAttempt(ticket.step, ticket.attempt, run))

    def close(self) -> None:
        """Nothing is committed any more. Tasks that wait for a commit get an error."""
        self._is_closed = True
        for committed in self._waiting:
            committed.set()

    async def _commit(self, command: Command) -> None:
        committed = trio.Event()
        self._waiting.add(committed)
        try:
            if not self._is_closed:
                await self._send.send(Message(command, committed=committed))
                await committed.wait()
        finally:
            self._waiting.discard(committed)
        if self._is_closed:
            raise Superseded
