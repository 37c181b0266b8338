"""Whether the pages may decide: only if the program that started the server passed a function.

The pages themselves only read the ledger; that function records the decision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """The option that a person chose for a step of a job."""

    job_id: str
    step: str
    option: str
    comment: str | None


class DecisionRefused(Exception):
    """The decision is not possible; the message says why. `status` is that of the HTTP response."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


Decide = Callable[[DecisionRequest], None]
"""Records a decision and returns when the ledger has it. Raises DecisionRefused."""

_decide_functions: WeakKeyDictionary[Any, Decide] = WeakKeyDictionary()


def allow_decisions(datasette: Any, decide: Decide) -> None:
    """Let the pages of this Datasette record decisions with the function `decide`."""
    _decide_functions[datasette] = decide


def are_decisions_allowed(datasette: Any) -> bool:
    """Whether the pages of this Datasette may record decisions."""
    return datasette in _decide_functions


def decide_function_of(datasette: Any) -> Decide:
    """The function that `allow_decisions` was given. Raises KeyError if decisions are not allowed."""
    return _decide_functions[datasette]
