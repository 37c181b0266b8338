"""The answer to the question which copies of a job's attempts an engine's workers have."""

from __future__ import annotations

from dataclasses import dataclass

from orc.scheduler.executors.contract import Copy


@dataclass(frozen=True, slots=True)
class Census:
    """Copies of a job's attempts; which workers have answered, and which are there and have not."""

    copies: tuple[Copy, ...]
    answered: frozenset[str]
    silent: frozenset[str]
