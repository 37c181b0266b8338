"""Ends an attempt that is cancelled, in bounded time.

The order to end may be lost on its way, so that it is given again until a census shows that nothing
runs. What cannot be reached at all dies when its lease is over.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from orc.scheduler.executors.attempt_news import Counted, GraceSkipped, News
from orc.scheduler.executors.contract import (
    Asked,
    Census,
    Dropped,
    Ended,
    EngineLost,
    EngineSeen,
    Gone,
    Lost,
    Printed,
    Superseded,
    Ticket,
)
from orc.scheduler.executors.errors import EngineProblem
from orc.scheduler.executors.lease_wait import MARGIN_S

if TYPE_CHECKING:
    from orc.scheduler.executors.attempt_watch import AttemptWatch
    from orc.scheduler.executors.remote import RemoteExecutor

_LOOK_AGAIN_S = 1.0


async def end_attempt(
    watch: AttemptWatch,
    executor: RemoteExecutor,
    ticket: Ticket,
    grace_s: float,
    news: trio.MemoryReceiveChannel[News],
    run: str,
) -> None:
    """End the command of the placed copy, or take the submission back. The caller shields it."""
    engine = executor.engine
    placed = watch.placed
    if executor.is_superseded:
        return
    if executor.detaches and placed is not None:
        # A later owner finds it.
        return
    if placed is None:
        if run:
            with trio.move_on_after(MARGIN_S), suppress(EngineProblem):
                await engine.withdraw(ticket, run)
        return
    try:
        await _Ending(watch, executor, ticket, grace_s, news).run()
        with trio.move_on_after(MARGIN_S):
            await watch.orders.forget(ticket, placed.run, placed.worker)
    except Superseded:
        # What runs is the later owner's.
        executor.is_superseded = True


class _Ending:
    def __init__(
        self,
        watch: AttemptWatch,
        executor: RemoteExecutor,
        ticket: Ticket,
        grace_s: float,
        news: trio.MemoryReceiveChannel[News],
    ) -> None:
        assert watch.placed is not None
        self._watch = watch
        self._placed = watch.placed
        self._executor = executor
        self._ticket = ticket
        self._grace_s = 0.0 if executor.skips_grace else grace_s
        self._news = news
        self._look_at = float("inf")

    async def run(self) -> None:
        """Give the order until nothing runs."""
        began = trio.current_time()
        with trio.CancelScope(deadline=began + self._bound_s()) as scope, suppress(Lost):
            await self._cancel()
            while not await self._step(scope):
                pass

    def _bound_s(self) -> float:
        return self._grace_s + self._executor.engine.lease_s + 2 * MARGIN_S

    async def _step(self, scope: trio.CancelScope) -> bool:
        """Take a piece of news; whether the command has ended."""
        await trio.lowlevel.checkpoint()
        news: News | None = None
        try:
            news = self._news.receive_nowait()
        except trio.WouldBlock:
            with trio.move_on_at(min(self._watch.lease.over_at, self._look_at)):
                news = await self._news.receive()
        match news:
            case None if self._watch.lease.is_over:
                return True
            case None:
                self._look_at = float("inf")
                await self._cancel()
            case Asked():
                is_refused = await self._watch.orders.refuse(self._ticket, news.run, news.worker)
                return is_refused and self._watch.is_placed(news.run, news.worker)
            case Ended() if self._watch.is_placed(news.run, news.worker):
                # The log is worth keeping.
                await self._watch.fetch(news.outcome)
                return True
            case Printed() | Gone() | EngineSeen() | Dropped():
                await self._watch.take(news)
            case EngineLost():
                return self._watch.engine_lost(news) is not None
            case GraceSkipped():
                self._grace_s = 0.0
                scope.deadline = min(scope.deadline, trio.current_time() + self._bound_s())
                await self._cancel()
            case Counted():
                return await self._counted(news.census, began=news.began)
        return False

    async def _cancel(self) -> None:
        await self._watch.orders.cancel(
            self._ticket, self._placed.run, self._placed.worker, grace_s=self._grace_s
        )
        self._executor.count_soon()

    async def _counted(self, census: Census, *, began: float) -> bool:
        self._look_at = trio.current_time() + _LOOK_AGAIN_S
        for copy in census.copies:
            if copy.ticket != str(self._ticket) or not self._watch.is_placed(copy.run, copy.worker):
                continue
            self._watch.lease.renew()
            match copy.state:
                case "asking":
                    return await self._watch.orders.refuse(self._ticket, copy.run, copy.worker)
                case "refused":
                    return True
                case "ended":
                    await self._watch.fetch()
                    return True
                case "running":
                    return False
        self._watch.judge_missing(census, began=began)
        return False
