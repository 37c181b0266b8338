"""Follows one attempt through an engine: submitted, asked, placed, allowed, ended, or lost.

The engine's word is a hint; the ledger decides. What counts is the copy that was placed: the same
ticket, submission and worker. All other copies are refused.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import trio

from orc.scheduler.executors.contract import (
    PROTOCOL,
    Asked,
    Attempt,
    Broken,
    Census,
    Copy,
    Dropped,
    Ended,
    EngineEvent,
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
from orc.scheduler.executors.errors import EngineProblem, EngineUnreachable, WorkerLeft

if TYPE_CHECKING:
    from orc.scheduler.executors.remote import RemoteExecutor

MARGIN_S = 5.0
"""How much longer than the lease is waited before an attempt counts as lost."""
_PAUSE_MAX_S = 30.0


@dataclass(frozen=True, slots=True)
class Counted:
    """A census was taken."""

    census: Census


News = EngineEvent | Counted


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
        self._executor = executor
        self._engine = executor.engine
        self._attempt = attempt
        self._ticket: Ticket = attempt.ticket
        self._work = work
        self._news = news
        self._run = ""
        self._is_known = placed is None
        self._is_allowed = False
        self._lost_at: float | None = None
        self._lost_reason = ""
        self._resubmits = 0

    async def run(self) -> WorkOutcome:
        """Follow the attempt to its end. When it is cancelled, the command is ended first."""
        try:
            if self.placed is None:
                await self._submit()
            else:
                self._executor.count_soon()
            while True:
                outcome = await self._step()
                if outcome is not None:
                    return outcome
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                if not self._executor.detaches:
                    await self._end()
                elif self.placed is None:
                    with trio.move_on_after(MARGIN_S), suppress(EngineProblem):
                        await self._engine.withdraw(self._ticket, self._run)
            raise

    async def _step(self) -> WorkOutcome | None:
        """Take the next piece of news, or find that the lease is over."""
        deadline = float("inf") if self._lost_at is None else self._lost_at
        with trio.move_on_at(deadline):
            return await self._take(await self._news.receive())
        raise Lost(self._lost_reason)

    async def _take(self, news: News) -> WorkOutcome | None:
        match news:
            case Asked():
                return await self._asked(news)
            case Printed():
                if self._is_placed(news.run, news.worker):
                    self._attempt.printed(news.offset, news.content)
            case Ended():
                if self._is_placed(news.run, news.worker):
                    return await self._fetch()
                await self._quietly_forget(news.run, news.worker)
            case Dropped():
                await self._dropped(news)
            case Gone():
                if self.placed is not None and news.worker == self.placed.worker:
                    self._may_be_lost(f"the worker on {self.placed.host} left the cluster")
            case EngineSeen():
                await self._engine_seen(news)
            case EngineLost():
                return self._engine_lost(news)
            case Counted():
                return await self._counted(news.census)
            case _:
                assert_never(news)
        return None

    async def _asked(self, asked: Asked) -> WorkOutcome | None:
        if self._is_placed(asked.run, asked.worker):
            # It was allowed, and the permission was lost on the way.
            await self._allow()
            return None
        if self.placed is not None or asked.run != self._run:
            await self._refuse(asked.run, asked.worker)
            return None
        if asked.protocol != PROTOCOL:
            await self._refuse(asked.run, asked.worker)
            return WorkOutcome(
                broken=Broken(
                    "environment",
                    f"the worker on {asked.host} has another version of orc (protocol "
                    f"{asked.protocol}, here {PROTOCOL}); install the same version on both",
                )
            )
        await self._clear_earlier()
        placement = Placement(
            run=self._run,
            executor=self._executor.name,
            engine=self._executor.engine_id,
            worker=asked.worker,
            host=asked.host,
        )
        # A placement that is committed is known here: otherwise nobody would end the command.
        with trio.CancelScope(shield=True):
            await self._attempt.place(placement)
            self.placed = placement
        await self._allow()
        return None

    async def _allow(self) -> None:
        placed = self.placed
        assert placed is not None
        try:
            await self._engine.allow(
                self._ticket,
                placed.run,
                placed.worker,
                epoch=self._attempt.epoch,
                secrets=self._attempt.secrets,
            )
            self._is_allowed = True
        except EngineUnreachable:
            # The next census finds it asking, and it is allowed then.
            return
        except WorkerLeft:
            self._may_be_lost(f"the worker on {placed.host} left the cluster")
        except EngineProblem as error:
            await self._refuse(placed.run, placed.worker)
            await self._start_anew(f"the worker did not start it: {error}")

    async def _dropped(self, news: Dropped) -> None:
        placed = self.placed
        if placed is None:
            if news.run == self._run:
                await self._resubmit()
        elif news.run == placed.run and news.worker in ("", placed.worker):
            raise Lost(f"the worker on {placed.host} has no result: {news.reason}")

    async def _engine_seen(self, news: EngineSeen) -> None:
        if self.placed is None:
            return
        if news.engine == self.placed.engine:
            self._lost_at = None
        else:
            self._may_be_lost("the scheduler of the cluster was started again")

    def _engine_lost(self, news: EngineLost) -> WorkOutcome | None:
        if not news.final:
            # The workers may still reach their engine: only it can tell whether commands run.
            return None
        where = f"; its command may still run on {self.placed.host}" if self.placed else ""
        message = f"the executor {self._executor.name!r} does not answer: {news.reason}{where}"
        return WorkOutcome(broken=Broken("connection", message))

    async def _counted(self, census: Census) -> WorkOutcome | None:
        placed = self.placed
        mine: Copy | None = None
        for copy in census.copies:
            if copy.ticket != str(self._ticket):
                continue
            if self._is_placed(copy.run, copy.worker):
                mine = copy
            elif copy.state == "asking" and (placed is not None or copy.run != self._run):
                await self._refuse(copy.run, copy.worker)
        if placed is None:
            return None
        if mine is None:
            self._judge_missing(placed, census)
            return None
        self._lost_at = None
        if not self._is_known and mine.state != "refused":
            self._is_known = True
            await self._attempt.reattach(placed.run)
        match mine.state:
            case "asking":
                await self._allow()
            case "ended":
                return await self._fetch()
            case "refused":
                await self._start_anew("the worker refused it")
            case "running":
                pass
        return None

    def _judge_missing(self, placed: Placement, census: Census) -> None:
        if placed.worker in census.answered:
            raise Lost(f"the worker on {placed.host} was started again")
        if placed.worker in census.silent:
            self._may_be_lost(f"the worker on {placed.host} does not answer")
        else:
            self._may_be_lost(f"the worker on {placed.host} left the cluster")

    async def _fetch(self) -> WorkOutcome | None:
        placed = self.placed
        assert placed is not None
        work, artifacts = self._attempt.places["work"], self._attempt.places["artifacts"]
        folder = work.with_name(f"{work.name}.fetched")
        await trio.to_thread.run_sync(_make_empty, folder)
        try:
            outcome = await self._engine.fetch(self._ticket, placed.run, placed.worker, folder)
            await trio.to_thread.run_sync(_move, folder, work, artifacts, outcome)
            if (folder / "log").is_file():
                self._attempt.take_log(folder / "log")
        except EngineUnreachable:
            # The result stays there; the next census finds it again.
            return None
        except (WorkerLeft, Lost) as error:
            raise Lost(f"the result on {placed.host} was lost: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return outcome

    async def _submit(self) -> None:
        self._run = self._executor.new_run()
        await self._engine.submit(self._ticket, self._run, self._work, self._attempt)

    async def _resubmit(self) -> None:
        """Submit the attempt again, after a pause that grows."""
        self._resubmits += 1
        await self._engine.withdraw(self._ticket, self._run)
        await trio.sleep(min(_PAUSE_MAX_S, 0.1 * 2 ** min(self._resubmits, 10)))
        await self._submit()

    async def _start_anew(self, reason: str) -> None:
        """The placed copy never started: submit the same attempt again."""
        placed = self.placed
        assert placed is not None
        with trio.CancelScope(shield=True):
            await self._attempt.unplace(placed.run, reason)
            self.placed = None
            self._lost_at = None
            self._is_known = True
        self._run = placed.run
        await self._resubmit()

    async def _clear_earlier(self) -> None:
        """End commands of earlier attempts of the step that may still run somewhere.

        An earlier attempt may have failed here because the engine did not answer.
        """
        if self._ticket.attempt == 1:
            return
        since = trio.current_time()
        while trio.current_time() < since + self._engine.lease_s + MARGIN_S:
            census = await self._engine.count(self._ticket.job_id)
            if census is not None:
                earlier = [copy for copy in census.copies if self._is_earlier(copy)]
                for copy in earlier:
                    with suppress(EngineProblem):
                        await self._engine.cancel(
                            self._ticket_of(copy), copy.run, copy.worker, grace_s=0.0
                        )
                if not earlier and not census.silent:
                    return
            await trio.sleep(min(0.2, self._engine.lease_s / 10))

    def _is_earlier(self, copy: Copy) -> bool:
        name, _, number = copy.ticket.rpartition("/")
        of_step = name == f"{self._ticket.job_id}/{self._ticket.step}"
        is_before = number.isdecimal() and int(number) < self._ticket.attempt
        return of_step and is_before and copy.state == "running"

    def _ticket_of(self, copy: Copy) -> Ticket:
        number = int(copy.ticket.rpartition("/")[2])
        return Ticket(self._ticket.job_id, self._ticket.step, number)

    async def _end(self) -> None:
        """End the command, in bounded time; what does not answer dies when its lease is over."""
        placed = self.placed
        if placed is None:
            with suppress(EngineProblem):
                await self._engine.withdraw(self._ticket, self._run)
            return
        grace_s = self._work.grace_s
        with trio.move_on_after(grace_s + self._engine.lease_s + 2 * MARGIN_S):
            with suppress(EngineProblem):
                await self._engine.cancel(self._ticket, placed.run, placed.worker, grace_s=grace_s)
            self._executor.count_soon()
            with suppress(Lost):
                while await self._step_to_end() is None:
                    pass
        with suppress(EngineProblem):
            await self._engine.forget(self._ticket, placed.run, placed.worker)

    async def _step_to_end(self) -> WorkOutcome | None:
        """As `_step`, for a command that is being ended: nothing is started any more."""
        deadline = float("inf") if self._lost_at is None else self._lost_at
        with trio.move_on_at(deadline):
            news = await self._news.receive()
            match news:
                case Ended() if self._is_placed(news.run, news.worker):
                    return await self._fetch() or WorkOutcome()
                case Printed():
                    await self._take(news)
                case Dropped() | Gone() | EngineSeen():
                    await self._take(news)
                case EngineLost():
                    return self._engine_lost(news)
                case Counted():
                    return await self._counted_to_end(news.census)
            return None
        raise Lost(self._lost_reason)

    async def _counted_to_end(self, census: Census) -> WorkOutcome | None:
        placed = self.placed
        assert placed is not None
        for copy in census.copies:
            if copy.ticket == str(self._ticket) and self._is_placed(copy.run, copy.worker):
                if copy.state == "asking":
                    await self._refuse(copy.run, copy.worker)
                if copy.state == "ended":
                    return await self._fetch() or WorkOutcome()
                return WorkOutcome() if copy.state in ("asking", "refused") else None
        self._judge_missing(placed, census)
        return None

    async def _refuse(self, run: str, worker: str) -> None:
        with suppress(EngineProblem):
            await self._engine.refuse(self._ticket, run, worker)

    async def _quietly_forget(self, run: str, worker: str) -> None:
        with suppress(EngineProblem):
            await self._engine.forget(self._ticket, run, worker)

    def _is_placed(self, run: str, worker: str) -> bool:
        placed = self.placed
        return placed is not None and (run, worker) == (placed.run, placed.worker)

    def _may_be_lost(self, reason: str) -> None:
        """From now on, the command is dead when the lease is over."""
        if self._lost_at is None:
            self._lost_at = trio.current_time() + self._engine.lease_s + MARGIN_S
            self._lost_reason = reason


def _make_empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _move(folder: Path, work: Path, artifacts: Path, outcome: WorkOutcome) -> None:
    """Put the fetched files where those of a local attempt lie, with their modes."""
    for name, files, place in (
        ("work", outcome.files, work),
        ("artifacts", outcome.artifacts, artifacts),
    ):
        for file in files:
            if file.mode is not None:
                (folder / name / file.path).chmod(int(file.mode, 8) & 0o777 | 0o400)
        if (folder / name).is_dir():
            shutil.rmtree(place, ignore_errors=True)
            (folder / name).rename(place)
