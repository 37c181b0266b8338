"""`orc work`: takes jobs from the queue and runs them, until it is told to stop.

The ledger is the queue, and the owner's lock is the claim. A stop interrupts the running jobs in
order, which returns them to the queue; a worker that is killed leaves them there. A job that cannot
be run here is left in the queue for other workers, and tried again after a while.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import trio
from msgspec import Struct
from msgspec.structs import replace

from orc.cli.exit_codes import code_for_error
from orc.cli.jobs.caller.step_names import check_step_names
from orc.cli.jobs.owned_job import Caller, Ended, Listener, own
from orc.cli.jobs.places import Places, open_to_continue
from orc.cli.jobs.queue.candidates import Candidates
from orc.cli.jobs.removed_blobs import refuse_removed
from orc.cli.jobs.resume import continue_job
from orc.cli.jobs.sync import first_error
from orc.ledger import JobId, Ledger
from orc.ledger.connection import storage_errors
from orc.ledger.errors import LedgerError, OwnedElsewhere
from orc.ledger.kinds import JOB_ENDED
from orc.scheduler.clock import Clock
from orc.scheduler.core.commands import InterruptJob
from orc.scheduler.core.fold.queued_job import takeable_at
from orc.scheduler.rates import SharedLimits
from orc.scheduler.stopping import open_stop_signals

POLL_S = 0.5
"""How often a worker with a free place looks for jobs."""

AGAIN_S = 600.0
"""When a worker tries a job again that it could not run."""


def _no_listener(job_id: JobId) -> Listener:
    return Listener()


class WorkListener(Struct, frozen=True):
    """Callbacks of a worker.

    `listener_of` is called when a job was taken, and gives the callbacks of its run. `on_ended` is
    called when the job has ended or stopped, `on_left` when the job cannot be run here and stays in the
    queue, with the reason, `on_problem` with an error after the job's end, `on_stopping` when the worker
    takes no more jobs, with the signal if there was one. `on_ready` is called first, when the ledger
    is open.
    """

    listener_of: Callable[[JobId], Listener] = _no_listener
    on_ended: Callable[[Ended], None] = lambda ended: None
    on_left: Callable[[JobId, BaseException], None] = lambda job_id, error: None
    on_problem: Callable[[JobId, BaseException], None] = lambda job_id, error: None
    on_stopping: Callable[[str | None], None] = lambda signal: None
    on_ready: Callable[[], None] = lambda: None


class Worked(Struct, frozen=True):
    """What a worker did: how its runs of jobs ended, by status, and the jobs that it could not run.

    A run that the worker's stop interrupted counts as `interrupted`.
    """

    ended: Mapping[str, int]
    left: Mapping[str, str]


async def work(
    *,
    places: Places,
    environment: Mapping[str, str],
    jobs: int = 1,
    for_s: float | None = None,
    stop_when_empty: bool = False,
    trust: bool = False,
    listener: WorkListener | None = None,
) -> Worked:
    """Take jobs from the queue and run them, at most `jobs` at the same time.

    It ends after `for_s` seconds, at a stop signal, or, with `stop_when_empty`, when it runs no job
    and finds none. `trust` allows a ledger that another user can write to. Imported jobs are never
    taken. Raises LedgerError if the ledger cannot be read.
    """
    with open_to_continue(places, environment, trust=trust) as ledger:
        worker = _Worker(places, environment, ledger, jobs, trust, listener or WorkListener())
        worker.listener.on_ready()
        await worker.run(math.inf if for_s is None else for_s, stop_when_empty=stop_when_empty)
    return Worked(dict(worker.ended), {job_id: found.why for job_id, found in worker.left.items()})


class _Left(Struct, frozen=True):
    """A job that cannot be run here: why, and when to try again, on trio's clock."""

    why: str
    again_at: float


class _Worker:
    def __init__(
        self,
        places: Places,
        environment: Mapping[str, str],
        ledger: Ledger,
        jobs_max: int,
        trust: bool,
        listener: WorkListener,
    ) -> None:
        self.places = places
        self.environment = environment
        self.ledger = ledger
        self.jobs_max = jobs_max
        self.trust = trust
        self.listener = listener
        self.ended: Counter[str] = Counter()
        self.left: dict[JobId, _Left] = {}
        self.clock = Clock()
        self._candidates = Candidates(ledger)
        self._shared = SharedLimits()
        self._running: dict[JobId, _Stops] = {}
        self._is_stopping = False
        self._error: BaseException | None = None
        self._changed = trio.Event()

    async def run(self, for_s: float, *, stop_when_empty: bool) -> None:
        """Work until the end. An error that is not a job's own is raised after all jobs have stopped."""
        deadline = trio.current_time() + for_s
        async with trio.open_nursery() as nursery:
            await nursery.start(self._watch_signals)
            while True:
                if not self._is_stopping:
                    try:
                        self._take(nursery)
                    except LedgerError as error:
                        # The jobs that run stop in order, as far as the ledger allows.
                        self._fail(error)
                if not self._running and (self._is_stopping or stop_when_empty):
                    break
                self._changed = trio.Event()
                with trio.move_on_at(min(deadline, trio.current_time() + POLL_S)):
                    await self._changed.wait()
                if trio.current_time() >= deadline:
                    deadline = math.inf
                    self._stop(None)
            nursery.cancel_scope.cancel()
        if self._error is not None:
            raise self._error

    def _take(self, nursery: trio.Nursery) -> None:
        """Start to run jobs until no place is free, or no job is left to take."""
        self.ledger.check_in_use()
        now = trio.current_time()
        while len(self._running) < self.jobs_max:
            not_yet = {job_id for job_id, found in self.left.items() if found.again_at > now}
            found = self._candidates.next(self.clock.now(), without={*self._running, *not_yet})
            if found is None:
                break
            self._running[found] = _Stops()
            nursery.start_soon(self._run_one, found)
        for job_id in self.left.keys() - self._candidates.ids():
            del self.left[job_id]

    async def _run_one(self, job_id: JobId) -> None:
        """Run a job, unless another process takes it first."""
        looks_again = True
        try:
            ended = await self._own_and_run(job_id)
            if ended is None:
                # Another process was faster, and the job is not to be run any more: the tables say
                # so at the latest when the worker looks for the next time.
                looks_again = False
            else:
                self.left.pop(job_id, None)
                self.ended[ended.status] += 1
                self.listener.on_ended(ended)
        except OwnedElsewhere:
            pass
        except Exception as group:
            error = first_error(group) if isinstance(group, ExceptionGroup) else group
            if code_for_error(error) is None:
                self._fail(error)
            else:
                self._could_not_run(job_id, error)
        finally:
            del self._running[job_id]
            if looks_again:
                self._changed.set()

    async def _own_and_run(self, job_id: JobId) -> Ended | None:
        """Own the job and run it; None if it is not to be run."""
        stops = self._running[job_id]
        caller = Caller(self.places, self.environment, shared=self._shared, open_stops=stops.open)
        with (
            open_to_continue(self.places, self.environment, trust=self.trust) as ledger,
            own(ledger, job_id, caller, wait_s=0) as owned,
        ):
            state = owned.fold()
            at = takeable_at(state)
            if at is None or at > self.clock.now() or self._is_stopping:
                return None
            assert state.submitted is not None
            assert state.submitted.queued is not None
            how = state.submitted.queued
            check_step_names("--until", how.only or (), state.steps)
            listener = self.listener.listener_of(job_id)
            owned.caller = replace(caller, listener=listener, force=bool(how.force))
            refuse_removed(ledger, job_id, state)
            return await continue_job(owned, only=how.only or (), from_queue=True)

    async def _watch_signals(self, task_status: trio.TaskStatus[None]) -> None:
        async with open_stop_signals() as names:
            task_status.started()
            async for name in names:
                self._stop(name)

    def _could_not_run(self, job_id: JobId, error: BaseException) -> None:
        """Leave the job to other workers, unless it has ended: its files could not be delivered."""
        with storage_errors(self.ledger.path):
            row = self.ledger.connection.execute(
                "SELECT status FROM jobs WHERE job_id = ?", (job_id,)
            ).fetchone()
        if row is not None and row[0] in JOB_ENDED:
            self.left.pop(job_id, None)
            self.ended[row[0]] += 1
            self.listener.on_problem(job_id, error)
            return
        self.left[job_id] = _Left(str(error), trio.current_time() + AGAIN_S)
        self.listener.on_left(job_id, error)

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._stop(None)

    def _stop(self, signal: str | None) -> None:
        """Take no more jobs, and interrupt those that run; the second time without grace."""
        if not self._is_stopping:
            self._is_stopping = True
            self.listener.on_stopping(signal)
        for stops in self._running.values():
            stops.send(InterruptJob(signal, queue="back"))
        self._changed.set()


class _Stops:
    """The stop requests of one job, which the worker passes on."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[InterruptJob](8)

    def send(self, command: InterruptJob) -> None:
        """Ask the job to stop. It does so as soon as it runs."""
        with suppress(trio.WouldBlock):
            self._send.send_nowait(command)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[InterruptJob]]:
        """See `OpenStops`."""
        yield self._receive
