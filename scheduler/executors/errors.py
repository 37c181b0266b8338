"""Errors of executors.

EngineProblem          an engine cannot be used as it is; the message says what to do
├── EngineUnreachable  the engine or its driver does not answer; a later try may work
└── WorkerLeft         the worker that was asked is no longer part of the engine
"""

from __future__ import annotations

from typing import ClassVar

from orc.ledger import exit_codes


class EngineProblem(Exception):
    """An engine cannot be used as it is. `kind` is one word for programs."""

    exit_code: ClassVar[int] = exit_codes.ENVIRONMENT

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class EngineUnreachable(EngineProblem):
    """The engine or its driver does not answer; a later try may work."""


class WorkerLeft(EngineProblem):
    """The worker that was asked is no longer part of the engine."""
