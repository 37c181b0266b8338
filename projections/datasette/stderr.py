"""Keeps the errors that Datasette prints from controlling the terminal: they quote addresses and SQL.

Errors in the SQL of a request are left out where ledgers are served: the page of the answer says them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from orc.projections.datasette.outgoing import safe_text

_ERROR_OF_SQL = "ERROR: conn="


class _SafeSys:
    """The module `sys` with a safe stderr."""

    def __init__(self, serves_ledgers: Callable[[], bool]) -> None:
        self._serves_ledgers = serves_ledgers

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)

    @property
    def stderr(self) -> _SafeStderr:
        return _SafeStderr(self._serves_ledgers)


class _SafeStderr:
    """The stderr of this moment, which gets escapes for what is not printable."""

    def __init__(self, serves_ledgers: Callable[[], bool]) -> None:
        self._serves_ledgers = serves_ledgers

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

    def write(self, text: str) -> int:
        if not (text.startswith(_ERROR_OF_SQL) and self._serves_ledgers()):
            sys.stderr.write(safe_text(text))
        return len(text)


def make_stderr_safe(*modules: ModuleType, serves_ledgers: Callable[[], bool]) -> None:
    """Let these modules print safe texts only. They use `sys.stderr`."""
    for module in modules:
        module.sys = _SafeSys(serves_ledgers)  # type: ignore[attr-defined]
