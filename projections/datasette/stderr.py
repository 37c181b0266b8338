"""Keeps the errors that Datasette prints from controlling the terminal: they quote addresses and SQL."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from orc.projections.datasette.outgoing import safe_text


class _SafeSys:
    """The module `sys` with a safe stderr."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)

    @property
    def stderr(self) -> _SafeStderr:
        return _SafeStderr()


class _SafeStderr:
    """The stderr of this moment, which gets escapes for what is not printable."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

    def write(self, text: str) -> int:
        sys.stderr.write(safe_text(text))
        return len(text)


def make_stderr_safe(*modules: ModuleType) -> None:
    """Let these modules print safe texts only. They use `sys.stderr`."""
    for module in modules:
        module.sys = _SafeSys()  # type: ignore[attr-defined]
