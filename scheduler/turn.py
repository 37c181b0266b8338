"""The data of one turn of the runner's loop."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from orc.ledger import Recorded
from orc.ledger.files.file_store import StoredFile
from orc.scheduler.core.commands import Command


@dataclass(slots=True)
class Turn:
    """What one turn commits, and the `trio.Event`s to set after the commit."""

    recorded: list[Recorded] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)
    stored: list[StoredFile] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    recorded_at: str = ""
    has_more: bool = False
    journalled: list[trio.Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Message:
    """A command sent to the runner, with its blobs and stored files.

    `committed` is set after its commit.
    """

    command: Command
    blobs: tuple[bytes, ...] = ()
    stored: tuple[StoredFile, ...] = ()
    committed: trio.Event | None = None
