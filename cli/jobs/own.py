"""Owning a job: the one use case in which this process changes a job and runs it.

`own` takes the job's lock and releases it at the end. In between, run, resume, fork, rerun and
replay do with the `OwnedJob` what they have in common: create or fold it, append commands,
read its secrets, build its providers, run it to its end, publish its folder, deliver its files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from orc.cli.errors import EnvironmentProblem
from orc.cli.jobs.caller.providers import build_providers, unavailable
from orc.cli.jobs.caller.secrets import protect
from orc.cli.jobs.folders import folder_for
from orc.cli.jobs.places import Places
from orc.cli.jobs.state import append_command, load_state
from orc.ledger import JobId, Ledger, LedgerReader, OwnerLock, pack
from orc.ledger.definition import JobDef
from orc.ledger.errors import StorageError
from orc.ledger.events import Failure, JobSubmitted, Owner, Payload
from orc.ledger.kinds import INTERRUPTED, JOB_ENDED_BADLY
from orc.ledger.locks import owner_identity
from orc.ledger.masking import Mask
from orc.projections import Publisher, ReplyCache, ResultCache, deliver
from orc.providers import Provider
from orc.scheduler.core.commands import Command, ResumeJob, StartJob, SubmitJob
from orc.scheduler.core.fold.evolve import JobState, initial_state
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.runner import Observer, Runner
from orc.scheduler.workspace import Workspace

REFRESH_S = 2.0
_PUBLISH_SHARE = 10


@dataclass(frozen=True, slots=True)
class Listener:
    """What is told of a run while it goes on: committed events, and pieces of text."""

    on_job: Callable[[JobState, str, Path], None] = lambda state, job_id, folder: None
    on_events: Observer = lambda recorded: None
    on_delta: Callable[[str, str], None] = lambda step, text: None
    on_notice: Callable[[str], None] = lambda text: None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: `status` is succeeded, failed, cancelled, waiting or interrupted."""

    job_id: JobId
    status: str
    state: JobState
    folder: Path
    signal: str | None = None
    left_alone: tuple[str, ...] = ()
    database: Path = Path()

    @property
    def failures(self) -> list[Failure]:
        """The failures that the job failed for: the job's own first, then the steps'."""
        return failures_of(self.state)


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom a job is run: its places and environment, and what is told of the run.

    With `force`, files in the job's `output_dir` that orc did not write are overwritten.
    """

    places: Places
    environment: Mapping[str, str]
    listener: Listener = Listener()
    force: bool = False


@contextmanager
def own(ledger: Ledger, job_id: JobId, caller: Caller) -> Iterator[OwnedJob]:
    """Own the job, which need not exist yet, until the block ends. Raises OwnedElsewhere.

    A new job is owned before it exists, so that no other process can start it.
    """
    lock = OwnerLock(caller.places.database, job_id)
    lock.acquire()
    try:
        yield OwnedJob(ledger, job_id, caller)
    finally:
        lock.release()


class OwnedJob:
    """A job that this process owns. `create` or `fold` comes first: it gives the job its state."""

    state: JobState

    def __init__(self, ledger: Ledger, job_id: JobId, caller: Caller) -> None:
        self.ledger = ledger
        self.job_id = job_id
        self.caller = caller
        self.providers: Mapping[str, Provider] = {}

    @property
    def folder(self) -> Path:
        """The job's run folder."""
        return folder_for(self.ledger, self.state, self.job_id, self.caller.places.runs_dir)

    def create(
        self, definition: JobDef, event: JobSubmitted, *commands: Command, blobs: list[bytes]
    ) -> None:
        """Make the job durable, and what the commands add to it at the same moment.

        Raises LedgerError.
        """
        self.state = initial_state(definition, build_graph(definition.steps))
        self.append(SubmitJob(event), *commands, blobs=blobs)

    def fold(self) -> JobState:
        """The state of a job that exists. Raises LedgerError."""
        self.state = load_state(self.ledger, self.job_id)
        return self.state

    def append(self, *commands: Command, blobs: list[bytes] | None = None) -> None:
        """Decide on the commands and commit their events. Raises LedgerError."""
        append_command(self.ledger, self.job_id, self.state, *commands, blobs=blobs or [])

    def read_secrets(self, *, steps: Collection[str]) -> Mask:
        """Read the job's secrets and hide them; `steps` are those that will run.

        Raises EnvironmentProblem for a secret that is not there.
        """
        return protect(self.ledger, self.state.definition, self.caller.environment, steps=steps)

    def build_providers(self, *, replies: Any, override: str | None = None) -> None:
        """Build the providers; `override` stands in for all of them.

        Raises UsageProblem, EnvironmentProblem.
        """
        self.providers = build_providers(
            self.state.definition, self.caller.environment, replies=replies, override=override
        )

    async def run(self, opening: Command) -> Ended:
        """Run the job until it ends or stops, publish its folder, deliver its files.

        Raises LedgerError, StorageError where the folder cannot be written, EnvironmentProblem.
        """
        state, job_id, folder, caller = self.state, self.job_id, self.folder, self.caller
        listener, prices = caller.listener, caller.places.prices
        with LedgerReader.open(self.ledger.path) as reader:
            publisher = Publisher(reader, job_id, folder, prices=prices)
            self._publish(publisher, final=False)
            listener.on_job(state, job_id, folder)
            for notice in (*unavailable(self.providers), *_slow_journal(self.ledger)):
                listener.on_notice(notice)
            mask = self.ledger.mask
            runner = Runner(
                job_id=job_id,
                state=state,
                ledger=self.ledger,
                workspace=Workspace(folder, project=state.project, ledger=self.ledger, mask=mask),
                providers=self.providers,
                environment=caller.environment,
                observer=listener.on_events,
                on_delta=listener.on_delta,
                cache=ReplyCache(self.ledger, job_id),
                price=prices.price_call,
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
        left = self._deliver() if state.status == "succeeded" else ()
        status = INTERRUPTED if state.status == "stopped" else state.status
        return Ended(job_id, status, state, folder, state.stopped_by, left, self.ledger.path)

    def publish_again(self) -> Ended:
        """Bring folder and `output_dir` of a succeeded job up to date; nothing runs.

        Raises LedgerError, EnvironmentProblem.
        """
        folder = self.folder
        publisher = Publisher(self.ledger, self.job_id, folder, prices=self.caller.places.prices)
        publisher.sweep()
        publisher.publish()
        left = self._deliver()
        return Ended(self.job_id, "succeeded", self.state, folder, None, left, self.ledger.path)

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

    def _deliver(self) -> tuple[str, ...]:
        return deliver_files(self.ledger, self.job_id, self.state, force=self.caller.force)


def owner_here() -> Owner:
    """This process, as the owner of a job."""
    return Owner.model_validate(owner_identity())


def failures_of(state: JobState) -> list[Failure]:
    """The failures that the job failed for: the job's own first, then the steps'."""
    of_job = [] if state.job_failure is None else [state.job_failure]
    return of_job + list(state.failed.values())


def opening_of(
    ledger: Ledger,
    job_id: JobId,
    state: JobState,
    override: str | None,
    replies: Any,
    timeout_s: float | None,
    only: tuple[str, ...] | None,
) -> Command:
    """The command that starts a run of a job that exists. Raises LedgerError."""
    owner = owner_here()
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
        # Signals to a job that has ended are answered by that end. Those to a job that has not
        # ended still have to be answered.
        last_signal = max((signal.id for signal in ledger.read_signals(job_id)), default=None)
    return ResumeJob(
        owner,
        provider=override,
        replies=payload,
        timeout_s=timeout_s,
        signal_id=last_signal,
        only=only,
    )


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
        # A disk that refuses now may take it later; the last publication reports a failure.
        with suppress(OSError):
            await trio.to_thread.run_sync(lambda: publisher.publish(final=False))
        pause_s = max(REFRESH_S, _PUBLISH_SHARE * (trio.current_time() - started))
