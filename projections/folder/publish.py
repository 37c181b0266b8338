"""Writes the files of a job: the run folder, and copies in the author's output folder.

`run_folder.py` derives the content of the files. A publisher belongs to one job and has a reader of
its own. Any thread may call it, one call at a time.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from orc.ledger import LedgerReader
from orc.ledger.digest import Digest
from orc.ledger.errors import LedgerError
from orc.ledger.events import StoredEvent
from orc.ledger.files.folder import Folder, UnsafePath
from orc.ledger.files.modes import delivered_bits
from orc.ledger.files.temporary import find_leftovers
from orc.ledger.scarcity import find_shortage
from orc.ledger.wording import count_text
from orc.projections.folder.run_folder import FOLDERS, File, RunFolder
from orc.projections.folds.owned_files import OwnedFiles, find_superseded
from orc.projections.money.prices import NO_PRICES, PriceTable

TAKEN_MAX = 5000
"""How many events are kept at most while their job is being published; later ones replace them."""
APPLIED_AT_ONCE = 200
"""How many events are applied together: after a commit, the memory that a single one needs is cold."""
_CATCH_UPS_MAX = 3
"""Each takes less time than the one before, during which fewer events are committed."""


class Unpublished(OSError):
    """Some files of a run folder could not be written; all the others were.

    `filename` is the first of them, `strerror` the reason and how many others there are.
    """

    def __init__(self, problems: Mapping[str, Exception]) -> None:
        path, error = next(iter(problems.items()))
        others = count_text(len(problems) - 1, "other file")
        more = f" (and {others})" if len(problems) > 1 else ""
        super().__init__(getattr(error, "errno", None) or 0, f"{_reason(error)}{more}", path)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return (
        f"unexpected error in orc: {type(error).__name__}: {error}. This is a bug of orc: please "
        "report it with this message"
    )


class Publisher:
    """Writes the run folder of one job and keeps it up to date.

    It follows a ledger of this process (`Ledger.followed_by`): events are applied when they are
    committed. What it is not given, it reads: the events of other processes, and those that come
    while it publishes for long. `applied` is the folder to which the caller has applied the first
    events of the job.
    """

    def __init__(
        self,
        ledger: LedgerReader,
        job_id: str,
        folder: Path,
        *,
        prices: PriceTable = NO_PRICES,
        applied: RunFolder | None = None,
    ) -> None:
        self._ledger = ledger
        self._prices = prices
        self._job_id = job_id
        self._folder = Folder(folder, publishes=True)
        self._projection = RunFolder(ledger, prices=prices) if applied is None else applied
        self._projection.use(ledger)
        self._published = 0
        # Held while the projection is used. A commit does not wait for it.
        self._busy = Lock()
        self._taken: deque[StoredEvent] = deque(maxlen=TAKEN_MAX)

    def take(self, committed: Sequence[StoredEvent]) -> None:
        """Keep committed events of the job, and apply those that have gathered.

        While the job is published, at most the last TAKEN_MAX are kept.
        """
        self._taken.extend(self._own(committed))
        if len(self._taken) >= APPLIED_AT_ONCE and self._busy.acquire(blocking=False):
            try:
                self._apply_taken()
            finally:
                self._busy.release()

    def publish(self, *, final: bool = True) -> None:
        """Update the folder to the ledger's last event.

        Files that orc wrote and that no step owns any more are removed. A file with other bytes
        than orc wrote is kept.

        At the end (`final`), every file is compared, also one that was published before: commands may
        have changed it. Before that, a new publisher leaves the summaries that another one has
        published after the same event: their ends name it.

        What is wrong with one file keeps no other from being written: Unpublished, an OSError, is
        raised at the end. Raises OSError at once if the machine lacks something, such as space, and
        LedgerError. The next call then writes everything that is missing.
        """
        with self._busy:
            try:
                self._publish(final=final)
                if not final:
                    self._catch_up()
            except BaseException:
                self._begin_again()
                raise

    def _begin_again(self) -> None:
        self._projection = RunFolder(self._ledger, prices=self._prices)
        self._published = 0

    def _own(self, committed: Sequence[StoredEvent]) -> Iterable[StoredEvent]:
        """The events of the job: all of them, if the versions from the first to the last are."""
        first, last = committed[0][0], committed[-1][0]
        is_own = first.job_id == last.job_id == self._job_id
        if is_own and last.version - first.version == len(committed) - 1:
            return committed
        return (one for one in committed if one[0].job_id == self._job_id)

    def _catch_up(self) -> None:
        """Apply what was committed during the publication, and read what was not kept of it.

        Otherwise none of the later events would fit, and the next publication would read them all.
        """
        for _ in range(_CATCH_UPS_MAX):
            if self._apply_taken():
                return
            self._projection.read(self._job_id)

    def _apply_taken(self) -> bool:
        """Apply the events that follow those that were applied; False after a gap: none fits.

        If one of them cannot be applied, nothing is: the next publication reads all events, and
        raises the error if it persists.
        """
        taken = [self._taken.popleft() for _ in range(len(self._taken))]
        version = self._projection.version
        if taken and taken[0][0].version != version + 1:
            taken = [one for one in taken if one[0].version > version]
        if not taken:
            return True
        if (taken[0][0].version, taken[-1][0].version) != (version + 1, version + len(taken)):
            return False
        try:
            self._projection.apply_stored(taken)
        except BaseException as error:
            self._begin_again()
            if not isinstance(error, Exception):
                raise
        return True

    def _publish(self, *, final: bool) -> None:
        if final:
            self._projection.look_again()
        if self._published == 0:
            for name in FOLDERS:
                self._folder.create_folder(name)
        self._apply_taken()
        self._projection.read(self._job_id)
        if not final and self._projection.version == self._published:
            return
        has_summaries = not final and self._published == 0 and self._has_summaries()
        self._published = self._projection.version
        problems: dict[str, Exception] = {}
        # Before writing: an old file may be where a folder is needed.
        for former in find_superseded(self._folder, self._projection.superseded()):
            with _kept(problems, former.path):
                self._folder.remove(former.path)
        for path in self._projection.folders():
            with _kept(problems, path):
                self._folder.create_folder(path)
        for path, make in self._projection.changes(with_summaries=not has_summaries):
            with _kept(problems, path):
                file = make()
                if file is not None:
                    self._write(file)
        if problems:
            raise Unpublished(problems)

    def _has_summaries(self) -> bool:
        """Whether both summaries are there, as they are after the last event that was applied."""
        tails = self._projection.tails()
        return bool(tails) and all(map(self._ends_with, tails.keys(), tails.values()))

    def _ends_with(self, path: str, tail: bytes) -> bool:
        there = self._folder.stat(path)
        if there is None or there.st_size < len(tail):
            return False
        return self._folder.read(path, offset=there.st_size - len(tail)) == tail

    def lost(self) -> dict[str, str]:
        """The files whose bytes were removed from the ledger: their paths, each with the reason."""
        return {path: lost.why for path, lost in sorted(self._projection.lost.items())}

    def folders(self) -> list[str]:
        """The empty folders that belong to steps' results, by their paths in the run folder."""
        return self._projection.folders()

    def sweep(self) -> None:
        """Remove temporary files that a killed process left behind."""
        self._folder.sweep()

    def _write(self, file: File) -> None:
        there = self._folder.stat(file.path)
        try:
            same_size = there is not None and there.st_size == file.size_bytes
            if there is not None and same_size and self._folder.digest(file.path) == file.sha256:
                _set_mode(self._folder, file.path, there, file.mode)
                return
            self._folder.write_parts(file.path, file.parts(), mode=file.mode)
        except OSError as error:
            # Some filesystems refuse names: the error must tell which.
            error.filename = file.path
            raise


@contextmanager
def _kept(problems: dict[str, Exception], path: str) -> Iterator[None]:
    """Keep what is wrong with one file; raise what concerns them all."""
    try:
        yield
    except LedgerError:
        raise
    except Exception as error:
        if find_shortage(error) is not None:
            raise
        problems[path] = error


def _set_mode(folder: Folder, path: str, there: os.stat_result, mode: int | None) -> None:
    """Give an existing file its recorded mode. The mode of an ordinary file is not recorded."""
    if mode is not None and stat.S_IMODE(there.st_mode) != mode:
        folder.set_mode(path, mode)


def deliver(
    ledger: LedgerReader,
    job_id: str,
    target: Path,
    *,
    force: bool,
    on_written: Callable[[str], None] | None = None,
) -> list[str]:
    """Copy the job's files to its `output_dir`; returns the paths that were not overwritten.

    An existing file is overwritten without `force` only if the ledger has its bytes: other bytes
    may be the author's work. The copies are not in a folder of the project's name. Raises OSError
    if a file cannot be written.
    """
    owned = OwnedFiles()
    project = ""
    for recorded in ledger.read_stream(job_id):
        owned.apply(recorded)
        if recorded.event.type == "job.submitted":
            project = recorded.event.project
    files = {found.file.path: found.file for found in owned.outputs}
    folder = Folder(target, private=False)
    _sweep_copies(folder, [path.removeprefix(f"{project}/") for path in files])
    not_overwritten = []
    for path, file in sorted(files.items()):
        relative = path.removeprefix(f"{project}/")
        there, mode = folder.stat(relative), delivered_bits(file.mode)
        digest = folder.digest(relative)
        if there is not None and digest == file.sha256:
            _set_mode(folder, relative, there, mode)
            continue
        if not force and _is_unknown(ledger, digest, target / relative):
            not_overwritten.append(relative)
            continue
        folder.write_parts(relative, ledger.blob_chunks(file.sha256), mode=mode)
        if on_written is not None:
            on_written(relative)
    for path in sorted(owned.outputs.folders):
        relative = path.removeprefix(f"{project}/")
        try:
            folder.create_folder(relative)
        except UnsafePath:
            # The author has a file or a link there.
            not_overwritten.append(relative)
    return not_overwritten


def _sweep_copies(folder: Folder, paths: Iterable[str]) -> None:
    """Remove the temporary files that a killed process left beside the copies.

    The folder is the author's: only temporary files of these paths are removed.
    """
    beside: dict[str, set[str]] = {}
    for path in paths:
        parent, _, name = path.rpartition("/")
        beside.setdefault(parent, set()).add(name)
    for parent, names in beside.items():
        for left in find_leftovers(folder.path / parent, names):
            if left.is_dead:
                folder.remove(f"{parent}/{left.path.name}" if parent else left.path.name)


def _is_unknown(ledger: LedgerReader, digest: Digest | None, path: Path) -> bool:
    """Whether the path has something that the ledger never held: other bytes, a link, or the like."""
    if digest is not None:
        return not ledger.names_blob(digest)
    return os.path.lexists(path) and (path.is_symlink() or not path.is_dir())
