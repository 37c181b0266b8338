"""The folder that a coordinator and its workers share: contents by digest, and outcomes that are kept.

<folder>/jobs/<job>/
  blobs/<aa>/<sha256>     inputs of the coordinator, and what attempts left
  outcomes/<copy>         how a copy ended: it outlives its worker

Everything in it is private to one user, written under another name, synced and renamed. Nothing in
it is trusted: who reads a content compares its digest, and who reads an outcome checks all of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from orc.worker.confined import create_file, open_file, write_all
from orc.worker.masking import SecretMask
from orc.worker.problems import RequestProblem
from orc.worker.spool import remove_tree
from orc.worker.wire import DIGEST, FileItem, Outcome

OUTCOME_BYTES_MAX = 256 * 1024**2
_CHUNK = 1 << 20
_JOB = re.compile(r"[A-Za-z0-9_-]{1,100}")


class SharedFiles:
    """The shared folder. Any thread of any process may use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, folder: Path) -> SharedFiles:
        """Create the folder if only it is missing. Raises RequestProblem with a sentence."""
        try:
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            found = os.stat(folder, follow_symlinks=False)
        except OSError as error:
            said = f"cannot be used: {error.strerror}"
            raise RequestProblem("environment", f"the shared folder {folder} {said}") from None
        problem = ""
        if not stat.S_ISDIR(found.st_mode):
            problem = "is not a folder"
        elif found.st_uid != os.geteuid():
            problem = "belongs to another user; name a folder of your own"
        elif found.st_mode & 0o077:
            problem = f"can be used by other users; run `chmod 700 {folder}`"
        if problem:
            raise RequestProblem("environment", f"the shared folder {folder} {problem}")
        return cls(folder)

    def check_job(self, job: str) -> None:
        """Raise RequestProblem for an id that cannot be the name of a folder."""
        self._job(job)

    def has(self, job: str, sha256: str) -> bool:
        """Whether a content is there. Its digest is compared when it is read."""
        fd = open_file(self._job(job), _blob(sha256))
        if fd is None:
            return False
        os.close(fd)
        return True

    def add(self, job: str, pieces: Iterable[bytes]) -> tuple[str, int]:
        """Keep a content; its digest and size. Raises OSError."""
        root = self._job(job)
        digest, size = hashlib.sha256(), 0
        name, fd = self._begin(root)
        try:
            try:
                for piece in pieces:
                    digest.update(piece)
                    size += len(piece)
                    write_all(fd, piece)
                os.fsync(fd)
            finally:
                os.close(fd)
            self._keep(root, name, _blob(digest.hexdigest()))
        except BaseException:
            _unlink(root / name)
            raise
        return digest.hexdigest(), size

    def copy_to(self, job: str, sha256: str, target: int) -> bool:
        """Write a content into an empty file, and verify it; False if it is not there.

        A content with another digest is removed, so that it is brought again.
        """
        root = self._job(job)
        fd = open_file(root, _blob(sha256))
        if fd is None:
            return False
        digest = hashlib.sha256()
        try:
            while chunk := os.read(fd, _CHUNK):
                digest.update(chunk)
                write_all(target, chunk)
        finally:
            os.close(fd)
        if digest.hexdigest() == sha256:
            return True
        os.ftruncate(target, 0)
        os.lseek(target, 0, os.SEEK_SET)
        _unlink(root / _blob(sha256))
        return False

    def keep_outcome(self, names: Mapping[str, str], outcome: Outcome, *, log: str) -> None:
        """Keep how a copy ended. `names` has its ticket, run and worker; `log` is a digest."""
        root = self._job(_job_of(names))
        name, fd = self._begin(root)
        try:
            try:
                kept = {**names, "log": log, "outcome": outcome.to_json()}
                write_all(fd, json.dumps(kept).encode())
                os.fsync(fd)
            finally:
                os.close(fd)
            self._keep(root, name, _outcome(names))
        except BaseException:
            _unlink(root / name)
            raise

    def outcome(self, names: Mapping[str, str]) -> dict[str, Any] | None:
        """The `log` and the `outcome` of that copy; None if none is kept, or not one of this copy."""
        fd = open_file(self._job(_job_of(names)), _outcome(names))
        if fd is None:
            return None
        with os.fdopen(fd, "rb") as file:
            content = file.read(OUTCOME_BYTES_MAX + 1)
        try:
            found = json.loads(content)
        except ValueError:
            return None
        if len(content) > OUTCOME_BYTES_MAX or not isinstance(found, dict):
            return None
        is_its = all(found.get(name) == value for name, value in names.items())
        is_digest = isinstance(found.get("log"), str) and DIGEST.fullmatch(found["log"])
        return found if is_its and is_digest else None

    def forget(self, names: Mapping[str, str]) -> None:
        """Drop the outcome of a copy."""
        _unlink(self._job(_job_of(names)) / _outcome(names))

    def remove_job(self, job: str) -> None:
        """Remove all that is kept of a job."""
        remove_tree(self._job(job))

    def _job(self, job: str) -> Path:
        if not _JOB.fullmatch(job):
            raise RequestProblem("request", "the id of the job is not valid")
        return self.folder / "jobs" / job

    def _begin(self, root: Path) -> tuple[str, int]:
        name = f"new-{secrets.token_hex(8)}"
        return name, create_file(self.folder, f"{root.relative_to(self.folder).as_posix()}/{name}")

    def _keep(self, root: Path, name: str, relative: str) -> None:
        target = root / relative
        for folder in (target.parent.parent, target.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        os.replace(root / name, target)
        for folder in (target.parent, target.parent.parent):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                # Not every filesystem can sync a folder.
                with suppress(OSError):
                    os.fsync(fd)
            finally:
                os.close(fd)


def keep_all(
    shared: SharedFiles, names: Mapping[str, str], outcome: Outcome, spool: Path, mask: SecretMask
) -> None:
    """Keep the outcome of a copy with its files, artifacts and log, in which secrets are masked.

    Raises OSError: the outcome is then only on this worker.
    """
    job = _job_of(names)

    def kept(place: str, file: FileItem) -> FileItem:
        sha256, size = shared.add(job, _masked(spool / place, file.path, mask))
        return replace(file, sha256=sha256, size_bytes=size)

    log, size = shared.add(job, _masked(spool, "log", mask))
    shared.keep_outcome(
        names,
        replace(
            outcome,
            files=[kept("work", file) for file in outcome.files],
            artifacts=[kept("artifacts", file) for file in outcome.artifacts],
            log_bytes=size,
            log=None,
        ),
        log=log,
    )


def _masked(root: Path, path: str, mask: SecretMask) -> Iterable[bytes]:
    fd = open_file(root, path)
    if fd is None:
        if path == "log":
            return
        raise FileNotFoundError(path)
    stream = mask.stream()
    try:
        while chunk := os.read(fd, _CHUNK):
            yield stream.feed(chunk)
    finally:
        os.close(fd)
    yield stream.close()


def _job_of(names: Mapping[str, str]) -> str:
    return names["ticket"].partition("/")[0]


def _blob(sha256: str) -> str:
    if not DIGEST.fullmatch(sha256):
        raise RequestProblem("request", "a digest is not valid")
    return f"blobs/{sha256[:2]}/{sha256}"


def _outcome(names: Mapping[str, str]) -> str:
    # A ticket may be longer than a file name.
    copy = "\0".join((names["ticket"], names["run"], names["worker"]))
    return f"outcomes/{hashlib.sha256(copy.encode()).hexdigest()[:32]}"


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
