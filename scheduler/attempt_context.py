"""The objects that all attempts of one job share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orc.ledger.files.file_store import FileStore
from orc.ledger.secrets.masking import Mask
from orc.providers import Provider
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.effects.calls import OnDelta
from orc.scheduler.effects.contract import Journal, ReplyCache
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.python import WorkerPool
from orc.scheduler.executors.contract import Executor
from orc.scheduler.placing import PlacingJournal
from orc.scheduler.rendering import Renderer
from orc.scheduler.workspace import Workspace


@dataclass(frozen=True, slots=True)
class AttemptContext:
    """The objects that all attempts of one job share."""

    state: JobState
    renderer: Renderer
    workspace: Workspace
    providers: Mapping[str, Provider]
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
