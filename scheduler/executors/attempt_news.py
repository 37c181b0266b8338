"""What the watch of an attempt receives: events of the engine, a census, and orders of the runner."""

from __future__ import annotations

from msgspec import Struct

from orc.scheduler.executors.contract import Census, EngineEvent


class Counted(Struct, frozen=True):
    """A census was taken.

    `began` is the time when it was asked for: what came to a worker later need not be in it.
    """

    census: Census
    began: float


class GraceSkipped(Struct, frozen=True):
    """A command that is being ended gets no more time."""


News = EngineEvent | Counted | GraceSkipped
