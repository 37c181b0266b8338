"""A named workspace: a folder that several steps of a job share, one after another.

What an attempt made in it is known by comparing the folder before and after. The comparison is
noted beside the folder, so that what an attempt left that was cut off is removed before the next
one begins. Everything else in the folder is scratch, which orc neither records nor changes.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from orc.ledger.digest import Digest
from orc.ledger.files.folder import Folder
from orc.scheduler.folders.globs import Globs
from orc.scheduler.folders.work_folder import (
    Stamp,
    WorkFolder,
    confined,
    digest_of,
    remove_attempt_folder,
    remove_tree,
)
from orc.worker.declared import INPUTS_FOLDER


class SharedFolder(WorkFolder):
    """A named workspace during one attempt, whose files `globs` are captured."""

    def __init__(self, path: str, artifacts: str, globs: tuple[str, ...]) -> None:
        super().__init__(path, artifacts)
        self._note = Path(f"{path}.json")
        self._texts = globs
        self._before: dict[str, tuple[Stamp, Digest | None]] = {}

    def create(self) -> None:
        """Create the folders. What an attempt made that was cut off is removed."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The step before may have had other files of inputs.
        remove_tree(self.path / INPUTS_FOLDER)
        if self.artifacts.exists():
            remove_tree(self.artifacts)
        self.artifacts.mkdir(mode=0o700, parents=True)
        note = _read_note(self._note)
        if note is not None:
            texts, self._before = note
            self._remove_made(Globs(texts))

    def place(self, relative: str, sha256: Digest, pieces: Any, mode: str | None) -> None:
        """See `WorkFolder.place`. A file with these bytes stays."""
        folder = confined(self.path)
        found = folder.stat(relative)
        if found is not None and digest_of(folder, relative) == sha256:
            self.note_placed(relative, sha256, Stamp.of(found))
            return
        _make_way(self.path, relative)
        super().place(relative, sha256, pieces, mode)

    def begin(self) -> None:
        """Note which files are there that match, before the work begins."""
        super().begin()
        globs, folder, now_ns = Globs(self._texts), confined(self.path), time.time_ns()
        self._before = {}
        for path in folder.files(enters=globs.may_enter) if globs else ():
            found = folder.stat(path)
            if globs.match(path) and found is not None:
                stamp = Stamp.of(found)
                digest = None if stamp.shows_change_after(now_ns) else digest_of(folder, path)
                self._before[path] = (stamp, digest)
        document = {
            "globs": self._texts,
            "files": {path: [asdict(stamp), sha] for path, (stamp, sha) in self._before.items()},
        }
        self._note.write_text(json.dumps(document))

    def discard(self) -> None:
        """Remove what a failed attempt made, so that the next one starts as this one did."""
        self._remove_made(Globs(self._texts))

    def remove(self) -> None:
        """End the attempt: the folder stays for the next step."""
        with suppress(OSError):
            self._note.unlink()
        remove_attempt_folder(self.artifacts)

    def remove_empty(self) -> bool:
        """See `WorkFolder.remove_empty`. The folder itself stays."""
        if not self.drop_empty_artifacts():
            return False
        self.remove()
        return True

    def is_changed(self, folder: Folder, path: str, *, if_missing: bool = True) -> bool:
        """See `WorkFolder.is_changed`."""
        before = self._before.get(path)
        if path in self._placed or before is None:
            return super().is_changed(folder, path, if_missing=if_missing)
        found = folder.stat(path)
        stamp, digest = before
        if found is None or Stamp.of(found) != stamp:
            return True
        return digest is not None and digest_of(folder, path) != digest

    def _remove_made(self, globs: Globs) -> None:
        folder = confined(self.path)
        for path in self.made(globs):
            with suppress(OSError):
                folder.remove(path)


def _make_way(root: Path, relative: str) -> None:
    """Remove what is in the way of a file: a file, a link or a folder that a command left."""
    path = root
    for part in relative.split("/")[:-1]:
        path = path / part
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            path.unlink()
    last = root / relative
    if os.path.lexists(last):
        remove_tree(last)


def _read_note(path: Path) -> tuple[tuple[str, ...], dict[str, tuple[Stamp, Digest | None]]] | None:
    """The note of an attempt that was cut off; None if there is none, or none that orc wrote."""
    try:
        document = json.loads(path.read_bytes())
        files = {
            str(name): (Stamp(**stamp), digest)
            for name, (stamp, digest) in document["files"].items()
        }
        return tuple(map(str, document["globs"])), files
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
