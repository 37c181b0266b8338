"""What attempts work with: the objects that all of one job share, and the working folder of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import trio
from msgspec import Struct

from orc.ledger import Ledger
from orc.ledger.definition import TargetDef
from orc.ledger.files.file_store import FileStore
from orc.ledger.secrets.masking import Mask
from orc.providers import Provider
from orc.scheduler.batches.room import BatchRoom
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.effects.calls import OnDelta
from orc.scheduler.effects.contract import Batcher, Journal, ReplyCache
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.python import WorkerPool
from orc.scheduler.executors.contract import Executor
from orc.scheduler.executors.local import LocalExecutor
from orc.scheduler.folders.shared_folder import SharedFolder
from orc.scheduler.folders.work_folder import WorkFolder
from orc.scheduler.folders.workspace import Workspace
from orc.scheduler.placing import PlacingJournal
from orc.scheduler.rendering import Renderer
from orc.scheduler.turn import Message

if TYPE_CHECKING:
    from orc.scheduler.executors.remote import RemoteExecutor

BuildProvider = Callable[[TargetDef], Provider]
"""Builds the provider of a target."""


class AttemptContext(Struct, frozen=True):
    """What attempts work with: the objects that all of one job share, and the working folder of each."""

    state: JobState
    renderer: Renderer
    workspace: Workspace
    providers: MutableMapping[str, Provider]
    groups: ProcessGroups
    workers: WorkerPool
    executors: Mapping[str, Executor]
    placing: PlacingJournal
    database: Path
    journal: Journal
    on_delta: OnDelta
    mask: Mask
    store: FileStore
    cache: ReplyCache | None = None
    keeps_work: Literal["failed", "always"] | None = None
    build_late: BuildProvider | None = None
    batches: BatchRoom | None = None

    def batcher(self, provider: Provider, target: TargetDef, step_id: str) -> Batcher | None:
        """What submits the step's calls in batches; None if they are sent one by one."""
        if self.batches is None:
            return None
        return self.batches.batcher(provider, target.server, step_id)

    def provider_of(self, target: TargetDef) -> Provider:
        """The provider of the target; one that was not known when the job started is built now."""
        if target.server not in self.providers and self.build_late is not None:
            self.providers[target.server] = self.build_late(target)
        return self.providers[target.server]


def build_context(
    job_id: str,
    state: JobState,
    ledger: Ledger,
    workspace: Workspace,
    providers: MutableMapping[str, Provider],
    environment: Mapping[str, str],
    executors: Sequence[RemoteExecutor],
    groups: ProcessGroups,
    send: trio.MemorySendChannel[Message],
    mask: Mask,
    batches: BatchRoom,
    *,
    journal: Journal,
    on_delta: OnDelta,
    cache: ReplyCache | None,
    keeps_work: Literal["failed", "always"] | None,
    build_late: BuildProvider | None,
) -> AttemptContext:
    """The context of one job's attempts; `send` leads to its runner."""
    workers = WorkerPool(groups, mask=mask)
    local = LocalExecutor(groups=groups, workers=workers, environment=environment, mask=mask)
    return AttemptContext(
        state=state,
        renderer=Renderer(
            state,
            ledger=ledger,
            workspace=workspace,
            environment=environment,
            job_id=job_id,
            mask=mask,
        ),
        workspace=workspace,
        providers=providers,
        groups=groups,
        workers=workers,
        executors={local.name: local, **{one.name: one for one in executors}},
        placing=PlacingJournal(state, send),
        database=ledger.path,
        journal=journal,
        batches=batches,
        on_delta=on_delta,
        cache=cache,
        mask=mask,
        store=ledger.files,
        keeps_work=keeps_work,
        build_late=build_late,
    )


class AttemptFolder:
    """The working folder of an attempt, from its creation to its removal."""

    def __init__(self, context: AttemptContext, step_id: str, globs: tuple[str, ...]) -> None:
        self.folder: WorkFolder | None = None
        self.succeeded = False
        self._context = context
        self._step_id = step_id
        self._globs = globs

    async def open(self) -> None:
        """Create the folder, with the files of the steps before. Raises OSError, LedgerError."""
        context = self._context
        self.folder = context.workspace.attempt_folder(
            self._step_id,
            context.state.steps[self._step_id].attempts,
            shared=context.state.graph.steps[self._step_id].workspace,
            globs=self._globs,
        )
        is_remote = context.state.graph.steps[self._step_id].is_remote
        if is_remote and not self._globs and context.keeps_work is None:
            # The work is done elsewhere, and most leaves no file that would come back.
            context.workspace.create()
            return
        inputs = {} if is_remote else context.renderer.placed(self._step_id)
        folders = () if is_remote else context.renderer.folders(self._step_id)
        await context.workspace.open(self.folder, inputs, folders)

    async def close(self) -> None:
        """Remove the folder, unless the job or its caller keeps it."""
        keeps = self._context.keeps_work
        is_kept = keeps == "always" or (keeps == "failed" and not self.succeeded)
        if self.folder is None:
            return
        if isinstance(self.folder, SharedFolder):
            if not self.succeeded:
                self.folder.discard()
        elif is_kept:
            return
        await self._context.workspace.close(self.folder)
