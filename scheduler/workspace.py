"""The run folder of a running job: the working folder of its steps, logs and artifacts.

The files in `outputs/` are copies of files in the ledger. They are restored before a command or
function starts. Files that commands left there without capture are neither recorded nor changed.
"""

from __future__ import annotations

import mimetypes
import os
import re
import time
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from orc.ledger import LedgerReader, pack_bytes
from orc.ledger.digest import Digest, clean_text, digest_bytes
from orc.ledger.events import FileRef, Payload
from orc.ledger.files.folder import Folder
from orc.ledger.secrets.masking import Mask
from orc.ledger.step_names import folder_name
from orc.ledger.wording import size_text
from orc.scheduler.core.paths import path_problem
from orc.scheduler.effects.contract import CAPTURE_BYTES_MAX, LOG_BYTES_MAX


class CaptureProblem(Exception):
    """A file that an attempt left cannot be captured."""


_TICK_NS = 50_000_000
_COARSE_TICK_NS = 2_000_000_000
"""How far two changes may be apart and leave the same time, on a filesystem with fractions of a
second, and on one with whole seconds."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The stamp of a file whose content was verified against its digest.

    The system sets `ctime_ns` at each change, and no program can set it back, unlike `mtime`.
    """

    sha256: Digest
    device: int
    inode: int
    ctime_ns: int
    size_bytes: int


class Workspace:
    """The run folder of one job, as its runner uses it.

    `folder` is `runs/<job_id>`; `project` is the folder in `outputs/` in which the steps work.
    Secrets in logs are masked with `mask`.
    """

    def __init__(self, folder: Path, *, project: str, ledger: LedgerReader, mask: Mask) -> None:
        self.folder = folder
        self.project = project
        self.cwd = folder / "outputs" / project
        self._ledger = ledger
        self._mask = mask
        self._folder = Folder(folder)
        self._outputs = Folder(folder, within="outputs")
        self._seen: dict[str, _Seen] = {}

    def create(self) -> None:
        """Create the folders for outputs, logs and artifacts."""
        for name in (f"outputs/{self.project}", "logs", "artifacts"):
            self._folder.create_folder(name)

    def log_path(self, step_id: str, attempt: int) -> Path:
        """The path of an attempt's log file."""
        return self.folder / "logs" / f"{folder_name(step_id)}.{attempt}.log"

    def clear_artifacts(self, step_id: str) -> None:
        """Empty the step's artifacts folder for its next attempt."""
        relative = f"artifacts/{folder_name(step_id)}"
        for path in list(self._folder.files(relative)):
            self._folder.remove(path)
        self._folder.create_folder(relative)

    def clear_captures(self, globs: Iterable[str], *, kept: Container[str]) -> None:
        """Remove files that match and are not in `kept`: an earlier attempt left them uncommitted."""
        for path in self._matching(globs):
            if path not in kept:
                self._outputs.remove(path)

    def restore(self, files: Iterable[FileRef]) -> None:
        """Rewrite committed files in `outputs/` that are missing or differ from the ledger.

        Raises OSError, also UnsafePath if a link is in the way.
        """
        self.create()
        for file in files:
            if not self._is_intact(file):
                self._outputs.write(file.path, self._ledger.read_blob(file.sha256))

    def capture(
        self, globs: Iterable[str], *, taken: Mapping[str, str]
    ) -> list[tuple[FileRef, bytes]]:
        """The files in the working folder that match, except those that other steps wrote.

        `taken` maps paths of other steps' files to their digests. Raises CaptureProblem when
        one of those was changed, or when a file is too large.
        """
        found = []
        for path in self._matching(globs):
            relative = path.removeprefix(f"{self.project}/")
            file, content = self._capture_one(relative, path)
            if path not in taken:
                found.append((file, content))
            elif taken[path] != file.sha256:
                raise CaptureProblem(
                    f"{relative} belongs to another step, and this step changed it; write to "
                    "another path"
                )
        return found

    def capture_artifacts(self, step_id: str) -> list[tuple[FileRef, bytes]]:
        """The files in the attempt's artifacts folder. Removes the folder if it is empty.

        Raises CaptureProblem for a path that is not allowed, or a file that is too large.
        """
        under = f"artifacts/{folder_name(step_id)}"
        found = []
        for path in self._folder.files(under):
            relative = path.removeprefix(f"{under}/")
            reason = path_problem(relative)
            if reason:
                raise CaptureProblem(f"an artifact cannot be captured: {clean_text(reason)}")
            content = self._folder.read(path, size_max=CAPTURE_BYTES_MAX + 1)
            if content is None:
                continue
            if len(content) > CAPTURE_BYTES_MAX:
                raise CaptureProblem(
                    f"the artifact {relative!a} has more than {size_text(CAPTURE_BYTES_MAX)}"
                )
            found.append((file_ref(relative, content), content))
        if not found:
            _remove_empty(self.folder / under)
        return found

    def read_log(self, step_id: str, attempt: int) -> tuple[Payload, bytes | None] | None:
        """An attempt's masked log as a payload, and its blob; None if the log is empty."""
        content = self._folder.read(
            f"logs/{folder_name(step_id)}.{attempt}.log", size_max=LOG_BYTES_MAX
        )
        return pack_bytes(self._mask.data(content)) if content else None

    def _matching(self, globs: Iterable[str]) -> list[str]:
        """The paths in `outputs/` of the files in the working folder that match."""
        patterns = [_glob_pattern(glob) for glob in globs]
        if not patterns:
            return []
        skipped = len(self.project) + 1
        return [
            path
            for path in self._outputs.files(self.project)
            if any(pattern.fullmatch(path[skipped:]) for pattern in patterns)
        ]

    def _capture_one(self, relative: str, path: str) -> tuple[FileRef, bytes]:
        reason = path_problem(relative)
        if reason:
            raise CaptureProblem(reason)
        content = self._outputs.read(path, size_max=CAPTURE_BYTES_MAX + 1)
        if content is None:
            raise CaptureProblem(f"{relative} was removed while orc read it")
        if len(content) > CAPTURE_BYTES_MAX:
            raise CaptureProblem(f"{relative} has more than {size_text(CAPTURE_BYTES_MAX)}")
        return file_ref(path, content), content

    def _is_intact(self, file: FileRef) -> bool:
        now_ns = time.time_ns()
        found = self._outputs.stat(file.path)
        if found is None or found.st_size != file.size_bytes:
            return False
        stamp = _Seen(file.sha256, found.st_dev, found.st_ino, found.st_ctime_ns, found.st_size)
        if self._seen.get(file.path) == stamp:
            return True
        content = self._outputs.read(file.path)
        if content is None or digest_bytes(content) != file.sha256:
            return False
        if _shows_next_change(stamp, now_ns):
            self._seen[file.path] = stamp
        return True


def _shows_next_change(stamp: _Seen, now_ns: int) -> bool:
    """Whether a change after `now_ns` gives another time than that of the stamp.

    If the file was changed just before, the next change may fall into the same tick of the
    filesystem's clock; the content is then compared again.
    """
    is_coarse = stamp.ctime_ns % 1_000_000_000 == 0
    return now_ns - stamp.ctime_ns > (_COARSE_TICK_NS if is_coarse else _TICK_NS)


def file_ref(path: str, content: bytes) -> FileRef:
    """The reference to a file with that path and content."""
    return FileRef(
        path=path,
        sha256=digest_bytes(content),
        size_bytes=len(content),
        media_type=media_type_of(path),
    )


def media_type_of(path: str) -> str:
    """The media type for a file name (RFC 2046).

    The table is built in and ignores the system's, so that all machines record the same type.
    """
    return _media_types().guess_type(f"/{path}")[0] or "application/octet-stream"


@lru_cache(maxsize=1)
def _media_types() -> mimetypes.MimeTypes:
    types = mimetypes.MimeTypes(filenames=())
    for media_type, suffix in (
        ("text/markdown", ".md"),
        ("text/x-python", ".py"),
        ("application/yaml", ".yaml"),
        ("application/yaml", ".yml"),
        ("application/toml", ".toml"),
        ("text/x-sh", ".sh"),
        ("text/plain", ".log"),
    ):
        types.add_type(media_type, suffix)
    return types


def _glob_pattern(glob: str) -> re.Pattern[str]:
    """A regular expression for the glob.

    `*` and `?` match within one part of a path; `**` matches any number of parts.
    """
    *folders, name = glob.split("/")
    pattern = "".join(
        "(?:[^/]+/)*" if part == "**" else _part_pattern(part) + "/" for part in folders
    )
    pattern += "(?:[^/]+/)*[^/]+" if name == "**" else _part_pattern(name)
    return re.compile(pattern)


def _part_pattern(part: str) -> str:
    wild = {"*": "[^/]*", "?": "[^/]"}
    return "".join(wild.get(character) or re.escape(character) for character in part)


def _remove_empty(path: Path) -> None:
    for folder, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            return
