"""Who may decide on a page: nobody, unless whoever started the server handed over how.

A ledger is only ever read by the pages; a decision is carried out by that function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """What a person chose for a step of a job."""

    job_id: str
    step: str
    option: str
    comment: str | None


class DecisionRefused(Exception):
    """It cannot be decided so; the message says why. `status` is that of the answer."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


Decide = Callable[[DecisionRequest], None]
"""Carries a wanted out, and returns when it is a fact. Raises DecisionRefused."""

_deciding: WeakKeyDictionary[Any, Decide] = WeakKeyDictionary()


def allow_decisions(datasette: Any, decide: Decide) -> None:
    """Let this Datasette's pages decide, by that function."""
    _deciding[datasette] = decide


def are_decisions_allowed(datasette: Any) -> bool:
    """Whether they may."""
    return datasette in _deciding


def decider_of(datasette: Any) -> Decide:
    """How this Datasette's pages decide. Raises KeyError where they may not."""
    return _deciding[datasette]
