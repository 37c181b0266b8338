"""Glob patterns of files to capture: which paths match, and which folders may hold a match.

The rules are those of the agent on a worker, which has nothing else of orc.
"""

from __future__ import annotations

from collections.abc import Collection

from orc.worker.capture_rules import folder_glob, folder_matcher, has_folder_glob, matcher


class Globs:
    """Some patterns together."""

    def __init__(self, globs: Collection[str]) -> None:
        self._has_any = bool(globs)
        self.match = matcher(globs)
        """Whether one of the patterns matches a path."""
        self.may_enter = folder_matcher(globs)
        """Whether a file below a folder can match."""
        self.has_folders = has_folder_glob(globs)
        self.match_folder = folder_glob(globs)
        """Whether a folder is kept if it is empty."""

    def __bool__(self) -> bool:
        return self._has_any
