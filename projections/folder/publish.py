"""Putting what was derived on the disk: the run folder, and the author's own output folder.

What the files are is `run_folder.py`'s business. A publisher follows one job;
it may be called from any thread, one call at a time, with a reader of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from orc.ledger import LedgerReader
from orc.ledger.digest import Digest, digest_bytes
from orc.ledger.events import JobSubmitted
from orc.ledger.folder import TEMPORARY_NAME, Folder
from orc.projections.folder.run_folder import FOLDERS, RunFolder
from orc.projections.folds.owned_files import OwnedFiles, find_left
from orc.projections.money.prices import NO_PRICES, PriceTable

_TEMPORARY = re.compile(TEMPORARY_NAME)


class Publisher:
    """Writes `runs/<job_id>/` for one job, and keeps it up to date."""

    def __init__(
        self,
        ledger: LedgerReader,
        job_id: str,
        folder: Path,
        *,
        prices: PriceTable = NO_PRICES,
    ) -> None:
        self._ledger = ledger
        self._prices = prices
        self._job_id = job_id
        self._folder = Folder(folder, publishes=True)
        self._projection = RunFolder(ledger, prices=prices)

    def publish(self, *, final: bool = True, before_run: bool = False) -> None:
        """Bring the folder up to the ledger's last event.

        Raises OSError when the disk refuses; the next call then writes all that is
        missing. While the job runs (`final` false) the artifacts are left to the commands
        that are writing them. Files that orc has written and that no step owns any more are
        removed where no command can be writing: at the end, and `before_run`. A file with
        other bytes is somebody's, and is left.
        """
        try:
            self._publish(final=final, removes=final or before_run)
        except OSError:
            self._projection = RunFolder(self._ledger, prices=self._prices)
            raise

    def _publish(self, *, final: bool, removes: bool) -> None:
        before = self._projection.version
        if before == 0:
            for name in FOLDERS:
                self._folder.create_folder(name)
        for recorded in self._ledger.read_stream(self._job_id, after=before):
            for relative, content in self._projection.apply(recorded):
                self._write(relative, content)
        if removes:
            # First: a file that is there no more may stand where a folder has to be.
            self._remove_superseded()
        for relative, content in self._projection.owned():
            self._write(relative, content)
        if final:
            for relative, content in self._projection.artifacts():
                self._write(relative, content)
        if final or self._projection.version != before:
            for relative, content in self._projection.summaries():
                self._write(relative, content)

    def lost(self) -> dict[str, str]:
        """The files that could not be made, by path, with why: their bytes were removed."""
        return {path: lost.why for path, lost in sorted(self._projection.lost.items())}

    def sweep(self) -> None:
        """Remove temporary files that a killed process left."""
        for relative in list(self._folder.files()):
            if _TEMPORARY.fullmatch(relative.rpartition("/")[2]):
                self._folder.remove(relative)

    def _remove_superseded(self) -> None:
        for left in find_left(self._folder, self._projection.superseded()):
            self._folder.remove(left.path)

    def _write(self, relative: str, content: bytes) -> None:
        there = self._folder.stat(relative)
        same_size = there is not None and there.st_size == len(content)
        if same_size and self._folder.read(relative) == content:
            return
        self._folder.write(relative, content)


def deliver(
    ledger: LedgerReader,
    job_id: str,
    target: Path,
    *,
    force: bool,
    on_written: Callable[[str], None] | None = None,
) -> list[str]:
    """Copy the job's files to its `output_dir`; the paths that were left alone.

    A file that is there with bytes that the ledger does not know is somebody's
    work, and is not overwritten without `force`. Paths lose the project's folder.
    Raises OSError when the disk refuses.
    """
    owned = OwnedFiles()
    project = ""
    for recorded in ledger.read_stream(job_id):
        owned.apply(recorded)
        if isinstance(recorded.event, JobSubmitted):
            project = recorded.event.project
    files = {found.file.path: found.file.sha256 for found in owned.outputs}
    folder = Folder(target, private=False)
    _sweep_copies(folder, [path.removeprefix(f"{project}/") for path in files])
    left = []
    for path, sha256 in sorted(files.items()):
        relative = path.removeprefix(f"{project}/")
        there = folder.read(relative)
        digest = None if there is None else digest_bytes(there)
        if digest == sha256:
            continue
        if not force and _is_unknown(ledger, digest, target / relative):
            left.append(relative)
            continue
        folder.write(relative, ledger.read_blob(sha256))
        if on_written is not None:
            on_written(relative)
    return left


def _sweep_copies(folder: Folder, paths: Iterable[str]) -> None:
    """Remove what a process that was killed while it copied left beside the copies.

    The folder is somebody's: nothing but a temporary file of one of these paths is touched,
    and none of a process that lives.
    """
    beside: dict[str, set[str]] = {}
    for path in paths:
        parent, _, name = path.rpartition("/")
        beside.setdefault(parent, set()).add(name[:60])
    for parent, names in beside.items():
        with suppress(OSError):
            for entry in os.listdir(folder.path / parent):
                if (match := _TEMPORARY.fullmatch(entry)) is None:
                    continue
                if match["name"] in names and not _is_alive(int(match["pid"])):
                    folder.remove(f"{parent}/{entry}" if parent else entry)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_unknown(ledger: LedgerReader, digest: Digest | None, path: Path) -> bool:
    """Whether somebody put there what the ledger never held: bytes, a link, what cannot be read."""
    if digest is not None:
        return not ledger.names_blob(digest)
    return os.path.lexists(path) and (path.is_symlink() or not path.is_dir())
