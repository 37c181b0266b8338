"""A job that this process owns: run, resume, fork, rerun and replay all use it.

`own` acquires the job's lock and releases it at the end. In between, an `OwnedJob` creates or folds
the job, appends commands, reads its secrets, builds its providers, runs it to its end, publishes
its run folder and delivers its files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import trio
from msgspec import Struct, field
from msgspec.structs import replace

from orc.cli.jobs.caller import executors as executing
from orc.cli.jobs.caller.left_running import LeftRunning, end_elsewhere
from orc.cli.jobs.caller.notices import notices_before_run
from orc.cli.jobs.caller.providers import build_late, build_providers
from orc.cli.jobs.caller.secrets import hide_secrets
from orc.cli.jobs.folders import (
    cannot_write,
    check_run_folder,
    deliver_files,
    folder_for,
    keep_published,
    publish_ended,
    publish_first,
    publish_last,
)
from orc.cli.jobs.places import Places
from orc.cli.jobs.state import append_command, failures_of, load_state
from orc.cli.jobs.telemetry.sending import sending
from orc.ledger import JobId, Ledger, LedgerReader, OwnerLock
from orc.ledger.connection import storage_errors
from orc.ledger.definition import JobDef
from orc.ledger.events import Failure, JobSubmitted, Owner
from orc.ledger.files.file_store import StoredFile
from orc.ledger.files.lock_notes import owner_identity
from orc.ledger.files.locks import OWNER_WAIT_S
from orc.ledger.files.run_places import note_folder
from orc.ledger.kinds import INTERRUPTED
from orc.ledger.secrets.masking import Mask
from orc.ledger.stored_struct import load
from orc.projections import Publisher, ReplyCache, ResultCache
from orc.projections.folder.run_folder import RunFolder
from orc.providers import Provider
from orc.scheduler.core.commands import Command, SubmitJob
from orc.scheduler.core.fold.evolve import JobState, initial_state
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.core.rules.hooks import LOST_HOOK
from orc.scheduler.folders.workspace import Workspace
from orc.scheduler.rates import SharedLimits
from orc.scheduler.runner import Observer, Runner
from orc.scheduler.stopping import OpenStops, stops_by_signals

if TYPE_CHECKING:
    from orc.scheduler.executors.remote import RemoteExecutor

_Value = TypeVar("_Value")

NO_NAMES: Mapping[str, str] = MappingProxyType({})


class Listener(Struct, frozen=True):
    """Callbacks during a run.

    `on_job` is called when the job is durable, `on_events` after each commit, `on_delta` with each
    piece of text that a model sends (step, text), and `on_notice` with each notice for the user.
    """

    on_job: Callable[[JobState, str, Path], None] = lambda state, job_id, folder: None
    on_events: Observer = lambda recorded: None
    on_delta: Callable[[str, str], None] = lambda step, text: None
    on_notice: Callable[[str], None] = lambda text: None


class Ended(Struct, frozen=True):
    """How a run ended: `status` is succeeded, failed, cancelled, waiting or interrupted.

    `signal` is the stop signal that interrupted the job. `left_alone` are the files that were not
    delivered, since other files have their paths in `output_dir`.
    """

    job_id: JobId
    status: str
    state: JobState
    folder: Path
    signal: str | None = None
    left_alone: tuple[str, ...] = ()
    database: Path = Path()

    @property
    def failures(self) -> list[Failure]:
        """The failures that made the job fail; see `failures_of`."""
        return failures_of(self.state)


class Caller(Struct, frozen=True):
    """What the caller of a use case provides: paths, environment and callbacks.

    With `force`, files in `output_dir` that orc did not write are overwritten. With `keep_work`, all
    working folders are kept. A worker shares the limits of providers among its jobs, and has its own
    source of stop requests. `executors` names executors in the place of those of the job. Without
    `wait`, a job that waits for batches only is left.
    """

    places: Places
    environment: Mapping[str, str]
    listener: Listener = Listener()
    force: bool = False
    keep_work: bool = False
    executors: Mapping[str, str] = field(default_factory=dict)
    shared: SharedLimits | None = None
    open_stops: OpenStops = stops_by_signals
    wait: bool = True

    def connect(self, definition: JobDef) -> AbstractAsyncContextManager[list[RemoteExecutor]]:
        """The executors of a job's steps, connected until the block ends.

        A use case connects before it records anything, so that an executor that cannot be used
        leaves nothing. Raises UsageProblem, EnvironmentProblem.
        """
        return executing.open_executors(
            executing.remote_executors(definition),
            definition.steps,
            database=self.places.database,
            environment=self.environment,
            renamed=self.executors,
            on_notice=self.listener.on_notice,
        )


@contextmanager
def own(
    ledger: Ledger,
    job_id: JobId,
    caller: Caller,
    *,
    wait_s: float = OWNER_WAIT_S,
) -> Iterator[OwnedJob]:
    """Own the job until the block ends. Raises OwnedElsewhere after `wait_s` seconds.

    A new job is owned before its first event, so that no other process can start it.
    """
    lock = OwnerLock(caller.places.database, job_id)
    lock.acquire(wait_s=wait_s)
    try:
        yield OwnedJob(ledger, job_id, caller)
    finally:
        lock.release()


class OwnedJob:
    """A job that this process owns. Call `create` or `fold` first: they set `state`."""

    state: JobState

    def __init__(self, ledger: Ledger, job_id: JobId, caller: Caller) -> None:
        self.ledger = ledger
        self.job_id = job_id
        self.caller = caller
        self.providers: dict[str, Provider] = {}
        self._applied: RunFolder | None = None

    @property
    def folder(self) -> Path:
        """The job's run folder."""
        return folder_for(self.ledger, self.state, self.job_id, self.caller.places.runs_dir)

    def create(
        self,
        definition: JobDef,
        event: JobSubmitted,
        *commands: Command,
        blobs: Iterable[bytes],
        stored: Iterable[StoredFile] = (),
    ) -> None:
        """Append the job's first event, and the events of the commands, in one transaction.

        Raises LedgerError.
        """
        self.state = initial_state(definition, build_graph(definition.steps))
        chosen = self.caller.places.runs_dir / self.job_id
        if chosen.parent != self.ledger.path.parent / "runs":
            # Before the first event: a process that is killed then has chosen its folder.
            with storage_errors(self.ledger.path):
                note_folder(self.ledger.path, self.job_id, chosen)
        self.append(SubmitJob(event), *commands, blobs=blobs, stored=stored)

    def fold(self) -> JobState:
        """Fold the events of an existing job, and check its run folder; its state.

        Raises LedgerError, EnvironmentProblem.
        """
        self._applied = RunFolder(self.ledger, prices=self.caller.places.prices)
        self.state = load_state(self.ledger, self.job_id, applied=self._applied)
        check_run_folder(self.folder)
        self._note_folder()
        return self.state

    def _note_folder(self) -> None:
        """Note the folder beside the ledger, so that later commands find it and copies do not."""
        if self.folder.parent != self.ledger.path.parent / "runs":
            with storage_errors(self.ledger.path):
                note_folder(self.ledger.path, self.job_id, self.folder)

    def append(
        self, *commands: Command, blobs: Iterable[bytes] = (), stored: Iterable[StoredFile] = ()
    ) -> None:
        """Decide on the commands and commit their events. Raises LedgerError."""
        append_command(self.ledger, self.job_id, self.state, *commands, blobs=blobs, stored=stored)

    async def end_elsewhere(self, left: Collection[LeftRunning], *, force: bool = False) -> None:
        """End commands that executors run of the job; see `cli/jobs/caller/left_running.py`."""
        await end_elsewhere(
            self.job_id,
            left,
            epoch=self.state.epoch,
            database=self.caller.places.database,
            environment=self.caller.environment,
            force=force,
        )

    def read_secrets(self, *, steps: Collection[str]) -> Mask:
        """Read the secrets of the steps that will run, and hide them everywhere.

        Raises EnvironmentProblem for a missing secret.
        """
        return hide_secrets(
            self.ledger, self.state.definition, self.caller.environment, steps=steps
        )

    def build_providers(self, *, replies: Any, override: str | None = None) -> None:
        """Build the job's providers; `override` names a provider that replaces all of them.

        Raises UsageProblem, EnvironmentProblem.
        """
        self.providers = build_providers(
            self.state.definition, self.caller.environment, replies=replies, override=override
        )

    async def run(self, start: Command, executors: list[RemoteExecutor], *more: Command) -> Ended:
        """Run the job until it ends or stops, publish its run folder, and deliver its files.

        `start` and `more` are the first commands; `executors` are those of `Caller.connect`. Raises
        LedgerError, StorageError if the run folder cannot be written, EnvironmentProblem.
        """
        caller, on = self.caller, self.caller.listener
        arguments = (self.ledger.path, self.job_id, caller.environment, on.on_events, on.on_notice)
        async with sending(*arguments) as on_events:
            self.caller = replace(caller, listener=replace(on, on_events=on_events))
            ended = await self._run((start, *more), executors)
        self.caller = caller
        return ended

    async def _run(self, start: tuple[Command, ...], executors: list[RemoteExecutor]) -> Ended:
        state, job_id, folder, caller = self.state, self.job_id, self.folder, self.caller
        listener, prices, environment = caller.listener, caller.places.prices, caller.environment
        with (
            LedgerReader.open(self.ledger.path) as reader,
            self.ledger.followed_by(self._publisher(reader, folder)) as publisher,
        ):
            unwritten = await self._aside(publish_first, publisher, folder, job_id)
            listener.on_job(state, job_id, folder)
            known = notices_before_run(state, self.ledger, self.providers, environment, job_id)
            for notice in (*unwritten, *known):
                listener.on_notice(notice)
            mask = self.ledger.mask
            runner = Runner(
                job_id=job_id,
                state=state,
                ledger=self.ledger,
                workspace=Workspace(folder, project=state.project, ledger=self.ledger, mask=mask),
                providers=self.providers,
                executors=executors,
                build_late=partial(build_late, state.definition, caller.environment),
                environment=caller.environment,
                observer=listener.on_events,
                on_delta=listener.on_delta,
                cache=ReplyCache(self.ledger, job_id),
                price=prices.with_servers(state.definition.servers).price_call,
                results=ResultCache(self.ledger, job_id),
                keeps_work="always" if caller.keep_work else None,
                mask=mask,
                shared=caller.shared,
                open_stops=caller.open_stops,
                waits_for_batches=caller.wait,
                local_amounts=executing.local_amounts(
                    state.definition, self.ledger.path, environment
                ),
            )
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(keep_published, publisher)
                    await runner.run(*start)
                    nursery.cancel_scope.cancel()
            finally:
                with trio.CancelScope(shield=True):
                    for provider in self.providers.values():
                        await provider.aclose()
            unpublished = await self._aside(publish_last, publisher, folder, job_id)
        left: tuple[str, ...] = ()
        try:
            if state.status == "succeeded":
                left = await self._aside(self._deliver)
        finally:
            await self._run_hook()
        if unpublished is not None:
            raise unpublished
        shown = INTERRUPTED if state.status == "stopped" else state.status
        return Ended(job_id, shown, state, folder, state.stopped_by, left, self.ledger.path)

    async def _run_hook(self) -> None:
        """Run the hook for the end of the run, if the job has one, and publish its record."""
        if self.state.hook is not None:
            # Imported here, since most jobs have no hooks.
            from orc.cli.jobs.hooks.run_hook import HookRun, run_hook

            on, variables = self.caller.listener, self.caller.environment
            run = HookRun(self.ledger, self.job_id, self.state, self.folder, variables)
            await run_hook(run, self.caller.open_stops, on.on_events, on.on_notice)
            place = (run.ledger.path, run.job_id, run.folder, self.caller.places.prices)
            await self._aside(publish_ended, *place)

    def publish_submitted(self) -> None:
        """Publish the run folder of a job that was submitted and does not run yet.

        A folder other than `runs/` beside the ledger is used later only if it is the job's already.
        Raises StorageError if it cannot be written.
        """
        if self.folder.parent != self.ledger.path.parent / "runs":
            publisher = self._publisher(self.ledger, self.folder)
            unpublished = publish_last(publisher, self.folder, self.job_id)
            if unpublished is not None:
                raise unpublished

    def publish_again(self) -> Ended:
        """Publish the run folder of a succeeded job and deliver its files again; nothing runs.

        Raises LedgerError, EnvironmentProblem.
        """
        if self.state.hook:
            self.append(LOST_HOOK)
        self.publish()
        left = self._deliver()
        return Ended(
            self.job_id, "succeeded", self.state, self.folder, None, left, self.ledger.path
        )

    def publish(self) -> None:
        """Publish the run folder of a job that does not run. Raises LedgerError."""
        publisher = self._publisher(self.ledger, self.folder)
        try:
            publisher.sweep()
            publisher.publish()
        except OSError as error:
            raise cannot_write(self.folder, error, "give the same command again") from error

    def _publisher(self, reader: LedgerReader, folder: Path) -> Publisher:
        """A publisher of the job. The first one has the events that were folded."""
        applied, self._applied = self._applied, None
        prices = self.caller.places.prices
        return Publisher(reader, self.job_id, folder, prices=prices, applied=applied)

    def _deliver(self) -> tuple[str, ...]:
        with LedgerReader.open(self.ledger.path) as reader:
            return deliver_files(reader, self.job_id, self.state, force=self.caller.force)

    async def _aside(self, work: Callable[..., _Value], *arguments: Any) -> _Value:
        """The value of work that takes as long as the job's files are large.

        A worker runs other jobs meanwhile, so that their deadlines and signals do not wait.
        """
        if self.caller.shared is None:
            return work(*arguments)
        return await trio.to_thread.run_sync(partial(work, *arguments))


def owner_here() -> Owner:
    """This process, as the owner of a job."""
    return load(Owner, owner_identity())
