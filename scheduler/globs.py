"""Glob patterns of files to capture: which paths match, and which folders may hold a match.

The rules are those of the agent on a worker, which has nothing else of orc.
"""

from __future__ import annotations

from collections.abc import Collection

from orc.worker.capture_rules import folder_matcher, matcher


class Globs:
    """Some patterns together."""

    def __init__(self, globs: Collection[str]) -> None:
        self._has_any = bool(globs)
        self.match = matcher(globs)
        """Whether one of the patterns matches a path."""
        self.may_enter = folder_matcher(globs)
        """Whether a file below a folder can match."""

    def __bool__(self) -> bool:
        return self._has_any
