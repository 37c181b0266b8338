"""One ownership of a job: the runner, the publisher beside it, and what is left at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from orc.cli.errors import EnvironmentProblem
from orc.cli.jobs.submit import unavailable
from orc.ledger import JobId, Ledger, LedgerReader, pack
from orc.ledger.definition import load_job
from orc.ledger.errors import CorruptLedger, NoSuchJob, StorageError
from orc.ledger.events import Failure, JobAmended, JobSubmitted, Owner, Payload
from orc.ledger.folder import Folder
from orc.ledger.kinds import INTERRUPTED, JOB_ENDED_BADLY
from orc.ledger.locks import owner_identity
from orc.projections import Publisher, ReplyCache, ResultCache, deliver
from orc.projections.money.prices import PriceTable
from orc.providers import Provider
from orc.scheduler.core.commands import Command, ResumeJob, StartJob
from orc.scheduler.core.fold.evolve import JobState, evolve, initial_state
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.runner import Observer, Runner
from orc.scheduler.workspace import Workspace

REFRESH_S = 2.0
_PUBLISH_SHARE = 10


@dataclass(frozen=True, slots=True)
class Listener:
    """What hears of a run while it goes on: committed events, and pieces of text."""

    on_job: Callable[[JobState, str, Path], None] = lambda state, job_id, folder: None
    on_events: Observer = lambda recorded: None
    on_delta: Callable[[str, str], None] = lambda step, text: None
    on_notice: Callable[[str], None] = lambda text: None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: `status` is succeeded, failed, cancelled or interrupted."""

    job_id: JobId
    status: str
    state: JobState
    folder: Path
    signal: str | None = None
    left_alone: tuple[str, ...] = ()
    database: Path = Path()

    def outputs(self) -> dict[str, Any]:
        """The output of each succeeded step, read from the ledger."""
        with LedgerReader.open(self.database) as ledger:
            return {
                step_id: ledger.read_payload(step.output)
                for step_id, step in self.state.steps.items()
                if step.status == "succeeded"
            }

    @property
    def failures(self) -> list[Failure]:
        """The failures that the job failed for: the job's own first, then the steps'."""
        of_job = [] if self.state.job_failure is None else [self.state.job_failure]
        return of_job + list(self.state.failed.values())


def load_state(ledger: LedgerReader, job_id: str) -> JobState:
    """The job's state: its spec as recorded, and the fold of its events. Raises LedgerError."""
    try:
        return _fold(ledger, job_id)
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # Events that were decided here fold; these somebody has changed.
        said = f"{type(error).__name__}: {error}"
        raise CorruptLedger(
            f"{ledger.path}: the events of {job_id} are no job's ({said}); "
            "`orc verify` tells what was changed"
        ) from error


def _fold(ledger: LedgerReader, job_id: str) -> JobState:
    state: JobState | None = None
    for recorded in ledger.read_stream(job_id):
        if isinstance(recorded.event, JobAmended):
            # The fold reads nothing, and wants the new spec inline.
            spec = Payload(value=ledger.read_payload(recorded.event.spec))
            recorded = replace(recorded, event=recorded.event.model_copy(update={"spec": spec}))
        if state is None:
            assert isinstance(recorded.event, JobSubmitted)
            definition = load_job(ledger.read_payload(recorded.event.spec))
            state = initial_state(definition, build_graph(definition.steps))
        evolve(state, recorded)
    if state is None:
        raise NoSuchJob(f"there is no job {job_id}")
    return state


def run_folder(state: JobState, job_id: str, runs_dir: Path) -> Path:
    """Where the job's folder is: as recorded, unless the ledger was moved away from there."""
    assert state.submitted is not None
    recorded = Path(state.submitted.runs_dir)
    return (recorded if recorded.parent.is_dir() else runs_dir) / job_id


class Ownership:
    """One ownership of a job: the runner, and the publisher beside it."""

    def __init__(
        self,
        ledger: Ledger,
        job_id: JobId,
        state: JobState,
        folder: Path,
        providers: Mapping[str, Provider],
        environment: Mapping[str, str],
        listener: Listener | None,
        *,
        prices: PriceTable,
    ) -> None:
        self.ledger = ledger
        self.job_id = job_id
        self.state = state
        self.folder = folder
        self.providers = providers
        self.environment = environment
        self.listener = listener or Listener()
        self.prices = prices

    async def to_the_end(self, opening: Command, *, force: bool) -> Ended:
        """Run the job until it ends or stops, publish its folder, deliver its files.

        Raises LedgerError, StorageError where the folder cannot be written, EnvironmentProblem.
        """
        state, job_id = self.state, self.job_id
        with LedgerReader.open(self.ledger.path) as reader:
            publisher = Publisher(reader, job_id, self.folder, prices=self.prices)
            self._publish(publisher, final=False)
            self.listener.on_job(state, job_id, self.folder)
            for notice in (*unavailable(self.providers), *_slow_journal(self.ledger)):
                self.listener.on_notice(notice)
            mask = self.ledger.mask
            workspace = Workspace(self.folder, project=state.project, ledger=self.ledger, mask=mask)
            runner = Runner(
                job_id=job_id,
                state=state,
                ledger=self.ledger,
                workspace=workspace,
                providers=self.providers,
                environment=self.environment,
                observer=self.listener.on_events,
                on_delta=self.listener.on_delta,
                cache=ReplyCache(self.ledger, job_id),
                price=self.prices.price_call,
                results=ResultCache(self.ledger, job_id),
                mask=mask,
            )
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_keep_published, publisher)
                    await runner.run(opening)
                    nursery.cancel_scope.cancel()
            finally:
                with trio.CancelScope(shield=True):
                    for provider in self.providers.values():
                        await provider.aclose()
            self._publish(publisher, final=True)
        left: tuple[str, ...] = ()
        if state.status == "succeeded":
            left = deliver_files(self.ledger, job_id, state, force=force)
        status = INTERRUPTED if state.status == "stopped" else state.status
        return Ended(job_id, status, state, self.folder, state.stopped_by, left, self.ledger.path)

    def _publish(self, publisher: Publisher, *, final: bool) -> None:
        try:
            if not final:
                publisher.sweep()
            publisher.publish(final=final, before_run=not final)
        except OSError as error:
            raise StorageError(
                f"{self.folder} cannot be written: {error.strerror or error}; the ledger has all "
                f"of it. Make room, then `orc resume {self.job_id}`"
            ) from error


def opening_of(
    ledger: Ledger,
    job_id: JobId,
    state: JobState,
    override: str | None,
    replies: Any,
    timeout_s: float | None,
    only: tuple[str, ...] | None,
) -> Command:
    """The command that an ownership of a job that is there begins with. Raises LedgerError."""
    owner = Owner.model_validate(owner_identity())
    if state.status == "submitted":
        return StartJob(owner, only)
    payload: Payload | None = None
    if replies is not None:
        payload, blob = pack(replies)
        if payload == state.replies:
            payload = None
        elif blob is not None:
            ledger.append_blobs([blob])
    last_signal = None
    if state.status in JOB_ENDED_BADLY:
        # Signals to a job that has ended are answered by that end.
        last_signal = max((signal.id for signal in ledger.read_signals(job_id)), default=None)
    return ResumeJob(
        owner,
        provider=override,
        replies=payload,
        timeout_s=timeout_s,
        signal_id=last_signal,
        only=only,
    )


def check_runs_dir(path: Path) -> None:
    """Refuse a folder that cannot take the run's files, before anything is spent."""
    try:
        Folder(path).create()
    except OSError as error:
        raise EnvironmentProblem(
            f"run folders cannot be made in {path}: {error.strerror}; name another --runs-dir"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise EnvironmentProblem(f"run folders cannot be made in {path}: it is not writable")


def _slow_journal(ledger: Ledger) -> list[str]:
    """That a commit costs more here: on network filesystems and the like there is no WAL."""
    if ledger.journal_mode == "wal":
        return []
    return [
        f"{ledger.path}: its filesystem allows no write-ahead log; commits are as durable, and "
        "slower, and nobody can read while one is written"
    ]


async def _keep_published(publisher: Publisher) -> None:
    """Refresh the folder every two seconds; less often when that takes long."""
    pause_s = REFRESH_S
    while True:
        await trio.sleep(pause_s)
        started = trio.current_time()
        # Not abandoned when the job ends: two threads would use one publisher.
        # A disk that refuses now may take it later; the last publication will say.
        with suppress(OSError):
            await trio.to_thread.run_sync(lambda: publisher.publish(final=False))
        pause_s = max(REFRESH_S, _PUBLISH_SHARE * (trio.current_time() - started))


def deliver_files(
    ledger: LedgerReader, job_id: str, state: JobState, *, force: bool
) -> tuple[str, ...]:
    """Copy the files to the spec's `output_dir`, if it has one; the paths that were left alone.

    Raises EnvironmentProblem when the disk refuses.
    """
    target = state.definition.output_dir
    if target is None:
        return ()
    try:
        return tuple(deliver(ledger, job_id, Path(target), force=force))
    except OSError as error:
        raise EnvironmentProblem(
            f"the job succeeded, and its files could not be copied to {target}: "
            f"{error.strerror or error}; mend that, and `orc resume {job_id}` copies them"
        ) from error
