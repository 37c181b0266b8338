"""The specs in the folder that `orc browse --specs` names: found by listing, never by a path.

A request names one of them as it is listed. Links are not followed, so no other file can be named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.spec_files import read_yaml_bytes
from orc.ledger.digest import clean_text
from orc.scheduler.core.errors import SpecError

SPECS_MAX = 200
_DEPTH_MAX = 3
_FILES_MAX = 20_000
_ENDS = (".yaml", ".yml")
_REPLIES = ".replay"
_PROJECT = re.compile(r"^[\"']?project[\"']?[ \t]*:", re.MULTILINE)


class SpecFolder(Struct, frozen=True):
    """A folder with specs; those in the folder `without`, which has run folders, are left out."""

    path: Path
    without: Path

    def names(self) -> list[str]:
        """The paths of the specs in the folder, at most SPECS_MAX, sorted."""
        found = []
        for name in sorted(self._files()):
            if _is_spec(self.path / name):
                found.append(name)
                if len(found) == SPECS_MAX:
                    break
        return found

    def file(self, name: str) -> Path:
        """The file of a listed spec. Raises UsageProblem for any other name."""
        if name not in self._files() or not _is_spec(self.path / name):
            raise UsageProblem(
                f"the folder of specs has no spec {name!r}; reload the list of specs"
            )
        return self.path / name

    def _files(self) -> Iterator[str]:
        count = 0
        for folder, folders, files in os.walk(self.path):
            place = Path(folder)
            depth = len(place.relative_to(self.path).parts)
            folders[:] = sorted(
                name
                for name in folders
                if depth + 1 < _DEPTH_MAX and name[0] != "." and place / name != self.without
            )
            for name in files:
                count += 1
                if count > _FILES_MAX:
                    return
                path = place / name
                is_named = path.suffix in _ENDS and not path.stem.endswith(_REPLIES)
                if is_named and name[0] != "." and _is_text(name) and not path.is_symlink():
                    yield str(path.relative_to(self.path))


def _is_text(name: str) -> bool:
    """Whether the bytes of a name are UTF-8, so that an address can have it."""
    return clean_text(name) == name


def _is_spec(path: Path) -> bool:
    """Whether the text of the file looks like that of a spec, also of one with mistakes."""
    try:
        text = read_yaml_bytes(path).decode("utf-8-sig", "replace")
    except (OSError, SpecError):
        return False
    return _PROJECT.search(text) is not None
