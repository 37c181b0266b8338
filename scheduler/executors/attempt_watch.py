"""Follows one attempt through an engine: submitted, asked, placed, allowed, ended, or lost.

The engine's word is a hint; the ledger decides. What counts is the copy that was placed: the same
ticket, submission and worker. All other copies are refused. `attempt_end.py` ends an attempt that
is cancelled, and `earlier_copies.py` those before it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, assert_never

import trio

from orc.scheduler.executors.attempt_end import end_attempt
from orc.scheduler.executors.attempt_news import Counted, GraceSkipped, News
from orc.scheduler.executors.contract import (
    PROTOCOL,
    Asked,
    Attempt,
    Broken,
    Census,
    Copy,
    Dropped,
    Ended,
    EngineLost,
    EngineSeen,
    Gone,
    Lost,
    Placement,
    Printed,
    Ticket,
    Work,
    WorkOutcome,
)
from orc.scheduler.executors.earlier_copies import EarlierCopies
from orc.scheduler.executors.errors import EngineProblem, EngineUnreachable, WorkerLeft
from orc.scheduler.executors.fetching import fetch_kept, fetch_result
from orc.scheduler.executors.lease_wait import LeaseWait
from orc.scheduler.executors.orders import Orders

if TYPE_CHECKING:
    from orc.scheduler.executors.remote import RemoteExecutor

SUBMITS_MAX = 10
"""How often in a row an attempt that does not start is submitted."""
_ROW_S = 600.0
_PAUSE_MAX_S = 30.0
_AGAIN_S = 300.0
"""A copy that has not asked for this long is submitted once more: the engine may have dropped it."""


class AttemptWatch:
    """One attempt in an engine. `placed` is the copy that may run, if there is one."""

    def __init__(
        self,
        executor: RemoteExecutor,
        attempt: Attempt,
        work: Work,
        news: trio.MemoryReceiveChannel[News],
        placed: Placement | None,
    ) -> None:
        self.placed = placed
        self.lease = LeaseWait(executor.engine.lease_s)
        self.orders = Orders(executor.engine, attempt.epoch)
        self._executor = executor
        self._engine = executor.engine
        self._attempt = attempt
        self._ticket: Ticket = attempt.ticket
        self._work = work
        self._news = news
        self._run = ""
        self._submit_at = float("inf")
        self._submitted_at: list[float] = []
        self._failed: Broken | None = None
        self._waiting: Asked | None = None
        self._earlier = EarlierCopies(self._engine, self.orders, self._ticket)
        self._placed_at = float("-inf")
        # What an earlier process placed, it may have allowed.
        self._may_be_allowed = placed is not None
        self._is_known = placed is None

    async def run(self) -> WorkOutcome:
        """Follow the attempt to its end. When it is cancelled, the command is ended first."""
        is_cancelled = False
        try:
            if self.placed is None:
                self._submit_at = trio.current_time()
            else:
                self._executor.count_soon()
            outcome = None
            while outcome is None:
                outcome = await self._step()
                if self._failed is not None:
                    outcome = WorkOutcome(broken=self._failed)
            return outcome
        except trio.Cancelled:
            is_cancelled = True
            with trio.CancelScope(shield=True):
                await end_attempt(
                    self, self._executor, self._ticket, self._work.grace_s, self._news, self._run
                )
            raise
        finally:
            if not is_cancelled and self.placed is None:
                await self._withdraw()

    async def _step(self) -> WorkOutcome | None:
        """Take the next piece of news, or do what is due."""
        news = await self._receive()
        if news is not None:
            return await self.take(news)
        if self.lease.is_over:
            raise Lost(self.lease.reason)
        if trio.current_time() >= self._submit_at:
            return await self._submit()
        if self._earlier.is_due:
            self._earlier.wait()
            self._executor.count_soon()
        return None

    async def _receive(self) -> News | None:
        """The next piece of news; None when something else is due."""
        await trio.lowlevel.checkpoint()
        # First what is known already: an old deadline does not overrule it.
        with suppress(trio.WouldBlock):
            return self._news.receive_nowait()
        with trio.move_on_at(min(self.lease.over_at, self._submit_at, self._earlier.due_at)):
            return await self._news.receive()
        return None

    async def take(self, news: News) -> WorkOutcome | None:
        """Take a piece of news; the outcome if there is one. Raises Lost, Superseded."""
        match news:
            case Asked():
                return await self._asked(news)
            case Printed():
                if self.is_placed(news.run, news.worker):
                    self._attempt.printed(news.offset, news.content)
            case Ended():
                if self.is_placed(news.run, news.worker):
                    return await self.fetch(news.outcome)
                await self.orders.forget(self._ticket, news.run, news.worker)
            case Dropped():
                await self._dropped(news)
            case Gone():
                return await self._gone(news)
            case EngineSeen():
                if self.placed is not None and self.placed.engine not in ("", news.engine):
                    self.lease.begin("the scheduler of the cluster was started again")
            case EngineLost():
                lost = self.engine_lost(news)
                return lost and (await self.fetch_kept_result() or lost)
            case Counted():
                return await self._counted(news.census, began=news.began)
            case GraceSkipped():
                pass
            case _:
                assert_never(news)
        return None

    async def _asked(self, asked: Asked) -> WorkOutcome | None:
        if self.is_placed(asked.run, asked.worker):
            # It was allowed, and the permission was lost on the way.
            await self._found()
            await self._allow()
            return None
        if self.placed is not None or asked.run != self._run:
            await self.orders.refuse(self._ticket, asked.run, asked.worker)
            return None
        if asked.protocol != PROTOCOL:
            await self.orders.refuse(self._ticket, asked.run, asked.worker)
            return WorkOutcome(
                broken=Broken(
                    "environment",
                    f"the worker on {asked.host} has another version of orc (protocol "
                    f"{asked.protocol}, here {PROTOCOL}); install the same version on both",
                )
            )
        self._waiting = asked
        if self._earlier.are_over:
            await self._place(asked)
        elif not self._earlier.is_looking:
            self._earlier.begin()
            self._executor.count_soon()
        return None

    async def _place(self, asked: Asked) -> None:
        placement = Placement(
            run=self._run,
            executor=self._executor.site_name,
            engine=self._executor.engine_id,
            worker=asked.worker,
            host=asked.host,
        )
        # A placement that is committed is known here: otherwise nobody would end the command.
        with trio.CancelScope(shield=True):
            await self._attempt.place(placement)
            self.placed, self._placed_at = placement, trio.current_time()
        self._waiting, self._may_be_allowed, self._is_known = None, False, True
        await self._allow()

    async def _allow(self) -> None:
        placed = self.placed
        assert placed is not None
        may_be_allowed, self._may_be_allowed = self._may_be_allowed, True
        try:
            await self._engine.allow(
                self._ticket,
                placed.run,
                placed.worker,
                epoch=self._attempt.epoch,
                secrets=self._attempt.secrets,
            )
        except EngineUnreachable:
            # It may have arrived. If it has not, the copy asks again.
            return
        except WorkerLeft:
            self.lease.begin(f"the worker on {placed.host} left the cluster")
        except EngineProblem as error:
            if error.kind == "unknown" and may_be_allowed:
                raise Lost(f"the worker on {placed.host} does not know it any more") from error
            # An earlier permission may be on its way. Only a copy that was refused never starts.
            place = self._ticket, placed.run, placed.worker
            if error.kind in ("refused", "unknown") or await self.orders.refuse(*place):
                await self._start_anew(f"the worker did not start it: {error}")

    async def _dropped(self, news: Dropped) -> None:
        placed = self.placed
        if placed is None:
            if news.run == self._run:
                await self._submit_later(news.reason)
        elif self.is_placed(news.run, news.worker):
            raise Lost(f"the worker on {placed.host} has no result: {news.reason}")
        elif news.run == placed.run and not news.worker:
            # That is the engine's word; the worker may still run the command.
            self.lease.begin(f"the cluster dropped it: {news.reason}")

    async def _gone(self, news: Gone) -> WorkOutcome | None:
        if self._waiting is not None and news.worker == self._waiting.worker:
            self._waiting = None
        if self.placed is None or news.worker != self.placed.worker:
            return None
        self.lease.begin(f"the worker on {self.placed.host} left the cluster")
        return await self.fetch_kept_result()

    def engine_lost(self, news: EngineLost) -> WorkOutcome | None:
        """The outcome without an engine; None if it may come back."""
        if not news.final:
            # The workers may still reach their engine: only it can tell whether commands run.
            return None
        where = f"; its command may still run on {self.placed.host}" if self.placed else ""
        message = f"the executor {self._executor.site_name!r} does not answer: {news.reason}{where}"
        return WorkOutcome(broken=Broken("connection", message))

    async def _counted(self, census: Census, *, began: float) -> WorkOutcome | None:
        own = [copy for copy in census.copies if copy.ticket == str(self._ticket)]
        mine: Copy | None = None
        for copy in own:
            if self.is_placed(copy.run, copy.worker):
                mine = copy
            else:
                await self._end_other(copy)
        if self.placed is None:
            await self._counted_unplaced(census, own, began=began)
            return None
        if mine is None:
            self.judge_missing(census, began=began)
            return None
        self.lease.renew()
        if mine.state == "refused":
            await self._start_anew("the worker refused it")
            return None
        await self._found()
        if mine.state == "asking":
            await self._allow()
        return await self.fetch() if mine.state == "ended" else None

    async def _counted_unplaced(self, census: Census, own: list[Copy], *, began: float) -> None:
        """Find whether the submission can still ask, and whether it may start."""
        states = {copy.state for copy in own if copy.run == self._run}
        if states and "asking" not in states:
            # An agent refuses by itself what it could not ask for too long.
            await self._submit_later("the worker gave it up")
            return
        await self._earlier.take(census, began=began)
        if self._waiting is not None and self._earlier.are_over:
            await self._place(self._waiting)

    async def _end_other(self, copy: Copy) -> None:
        """End a copy of this attempt that was not placed."""
        match copy.state:
            case "asking" if self.placed is not None or copy.run != self._run:
                await self.orders.refuse(self._ticket, copy.run, copy.worker)
            case "running":
                await self.orders.cancel(self._ticket, copy.run, copy.worker)
            case "ended" | "refused" if copy.run != self._run:
                await self.orders.forget(self._ticket, copy.run, copy.worker)

    def judge_missing(self, census: Census, *, began: float) -> None:
        """The placed copy is not in a census. Raises Lost if no command of it can run."""
        placed = self.placed
        assert placed is not None
        if began < self._placed_at:
            # The census may have passed the worker before it got the copy.
            return
        if placed.worker in census.answered:
            raise Lost(f"the worker on {placed.host} was started again")
        if placed.worker in census.silent:
            self.lease.begin(f"the worker on {placed.host} does not answer")
        else:
            self.lease.begin(f"the worker on {placed.host} left the cluster")

    async def fetch(self, reported: WorkOutcome | None = None) -> WorkOutcome | None:
        """The result of the placed copy, which has ended; None if it cannot be reached now."""
        placed, kept = self.placed, self._executor.kept
        assert placed is not None
        await self._found()
        try:
            return await fetch_result(self._engine, kept, self._attempt, placed, reported)
        except EngineUnreachable:
            # The result stays there; the next census finds it again.
            return None
        except (EngineProblem, Lost) as error:
            raise Lost(f"the result on {placed.host} was lost: {error}") from error

    async def fetch_kept_result(self) -> WorkOutcome | None:
        """The result that the placed copy left where it outlives its worker; None if there is none."""
        kept = self._executor.kept
        if self.placed is None or kept is None:
            return None
        return await fetch_kept(kept, self._attempt, self.placed)

    async def _found(self) -> None:
        """The copy that an earlier process placed is still there."""
        placed = self.placed
        assert placed is not None
        if not self._is_known:
            self._is_known = True
            await self._attempt.reattach(placed.run)

    async def _submit(self) -> WorkOutcome | None:
        """Submit a new copy, or the same one again if it has not asked for long."""
        now = trio.current_time()
        self._submit_at = now + _AGAIN_S
        if not self._run:
            self._run = self._executor.new_run()
        try:
            await self._engine.submit(self._ticket, self._run, self._work, self._attempt)
        except EngineUnreachable:
            self._submit_at = now + _PAUSE_MAX_S / 10
        except EngineProblem as error:
            return WorkOutcome(broken=Broken("environment", str(error)))
        return None

    async def _submit_later(self, reason: str) -> None:
        """Submit the attempt as a new copy, after a pause that grows."""
        await self._withdraw()
        now = trio.current_time()
        self._run, self._waiting = "", None
        self._submitted_at = [at for at in self._submitted_at if at > now - _ROW_S] + [now]
        number = len(self._submitted_at)
        if number >= SUBMITS_MAX:
            message = f"no worker has started it, in {number} submissions: {reason}"
            self._failed = Broken("environment", message)
        self._submit_at = now + min(_PAUSE_MAX_S, 0.1 * 2**number)

    async def _start_anew(self, reason: str) -> None:
        """The placed copy never started and never will: submit the same attempt again."""
        placed = self.placed
        assert placed is not None
        with trio.CancelScope(shield=True):
            await self._attempt.unplace(placed.run, reason)
            self.placed = None
        self.lease.renew()
        self._is_known = True
        self._run = placed.run
        await self._submit_later(reason)

    async def _withdraw(self) -> None:
        if self._run:
            with suppress(EngineProblem):
                await self._engine.withdraw(self._ticket, self._run)

    def is_placed(self, run: str, worker: str) -> bool:
        """Whether that is the copy that was placed."""
        placed = self.placed
        return placed is not None and (run, worker) == (placed.run, placed.worker)
