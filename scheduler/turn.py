"""What one turn of the loop is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from orc.ledger import Recorded
from orc.scheduler.core.commands import Command


@dataclass(slots=True)
class Turn:
    """What one turn commits, and who waits for the commit."""

    recorded: list[Recorded] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    recorded_at: str = ""
    has_reused: bool = False
    journalled: list[trio.Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Message:
    """A command on its way to the loop, with its blobs and the one who waits for its commit."""

    command: Command
    blobs: tuple[bytes, ...] = ()
    committed: trio.Event | None = None
