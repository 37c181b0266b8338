"""The data of one turn of the runner's loop."""

from __future__ import annotations

from collections.abc import Iterable

import trio
from msgspec import Struct, field

from orc.ledger import JobId, Recorded
from orc.ledger.events import AnyEvent
from orc.ledger.files.file_store import StoredFile
from orc.scheduler.core.commands import Command
from orc.scheduler.core.fold.evolve import JobState, evolve


class Turn(Struct):
    """What one turn commits, and the `trio.Event`s to set after the commit."""

    job_id: JobId
    recorded_at: str
    recorded: list[Recorded] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)
    stored: list[StoredFile] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    has_more: bool = False
    is_cut: bool = False
    """Whether it ends before it has started what may start after its values."""
    holds_values: bool = False
    """Whether steps that only compute values are left to the next turn."""
    journalled: list[trio.Event] = field(default_factory=list)

    @property
    def is_awaited(self) -> bool:
        """Whether what comes next needs the commit: it reads a blob, or waits for an event."""
        return bool(self.blobs or self.stored or self.journalled)

    def fold(self, state: JobState, events: Iterable[AnyEvent]) -> None:
        """Apply the events to the state, and keep them for the commit."""
        for event in events:
            recorded = Recorded(self.job_id, state.version + 1, self.recorded_at, event)
            evolve(state, recorded)
            self.recorded.append(recorded)


class Message(Struct, frozen=True):
    """A command sent to the runner, with its blobs and stored files.

    `committed` is set after its commit.
    """

    command: Command
    blobs: tuple[bytes, ...] = ()
    stored: tuple[StoredFile, ...] = ()
    committed: trio.Event | None = None
