"""Whether the pages may decide and score: only if the program that started the server passed functions.

The pages themselves only read the ledger; these functions record what a person sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from msgspec import Struct


class DecisionRequest(Struct, frozen=True):
    """The option that a person chose for a step of a job."""

    job_id: str
    step: str
    option: str
    comment: str | None


class ScoreRequest(Struct, frozen=True):
    """A person's score of a step's result; `name` and `value` are texts as they were typed."""

    job_id: str
    step: str
    name: str
    value: str
    why: str | None


class RequestRefused(Exception):
    """What a person asked for is not possible; the message says why. `status` is that of the response.

    `lines` are further lines of text, such as the problems of a spec.
    """

    def __init__(self, message: str, *, status: int, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.lines = tuple(lines)


Decide = Callable[[DecisionRequest], None]
"""Records a decision and returns when the ledger has it. Raises RequestRefused."""

RecordScore = Callable[[ScoreRequest], None]
"""Records a score and returns when the ledger has it. Raises RequestRefused."""


class PersonsFunctions(Struct, frozen=True):
    """What the pages call to record what a person sent."""

    decide: Decide
    score: RecordScore


_functions: WeakKeyDictionary[Any, PersonsFunctions] = WeakKeyDictionary()


def allow_decisions(datasette: Any, *, decide: Decide, score: RecordScore) -> None:
    """Let the pages of this Datasette record decisions and scores with these functions."""
    _functions[datasette] = PersonsFunctions(decide, score)


def are_decisions_allowed(datasette: Any) -> bool:
    """Whether the pages of this Datasette may record decisions and scores."""
    return datasette in _functions


def functions_of(datasette: Any) -> PersonsFunctions:
    """What `allow_decisions` was given. Raises KeyError if decisions are not allowed."""
    return _functions[datasette]
