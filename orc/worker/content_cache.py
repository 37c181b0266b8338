"""The contents of input files on a worker, by SHA-256: received in pieces, verified at each use.

The agents of one machine share the folder. When it is larger than its limit, the contents that
were not used for the longest time are removed, but none that a waiting copy needs.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from orc.worker.confined import write_all
from orc.worker.problems import RequestProblem
from orc.worker.sizes import size_in_bytes

LIMIT_BYTES = 10 * 1024**3
LIMIT_BYTES_MAX = 1 << 60
PIECE_BYTES_MAX = 16 * 1024**2
PARTIAL_MAX = 64
"""How many contents may be incomplete at a time."""
_CHUNK = 1 << 20
_CLONE = 0x40049409
"""FICLONE of Linux: another file with the same blocks, copied when one of them is written."""
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def limit_from(text: str | None) -> int:
    """The limit that `$ORC_WORKER_CACHE` gives, such as `10G`. Raises RequestProblem."""
    if not text:
        return LIMIT_BYTES
    found = size_in_bytes(text)
    if found is None or found > LIMIT_BYTES_MAX:
        raise RequestProblem(
            "environment", f"ORC_WORKER_CACHE must be a size such as 10G, not {text[:40]!a}"
        )
    return int(found)


class _Partial:
    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self.received = 0
        self.digest = hashlib.sha256()
        self.fd = os.open(path, _NEW, 0o600)


class ContentCache:
    """The contents in one folder. `needed` tells which ones must stay."""

    def __init__(self, folder: Path, *, limit_bytes: int, needed: Callable[[], set[str]]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._needed = needed
        self._lock = threading.Lock()
        self._partial: dict[str, _Partial] = {}
        self._total = sum(size for _, size, _ in self._listed())

    def missing(self, digests: Iterable[str]) -> list[str]:
        """The digests without a content here, sorted."""
        found = set()
        for sha256 in set(digests):
            try:
                # It is used now: another agent, which does not know that, must not remove it.
                os.utime(self._path(sha256))
            except FileNotFoundError:
                found.add(sha256)
        return sorted(found)

    def put(self, sha256: str, *, offset: int, size: int, data: bytes) -> dict[str, object]:
        """Take a piece; pieces come in order, and one that came already is ignored.

        Raises RequestProblem if a piece is missing before this one, or the digest is wrong.
        """
        if len(data) > PIECE_BYTES_MAX:
            raise RequestProblem("request", "a piece has more than 16 MiB")
        with self._lock:
            if self._path(sha256).is_file():
                self._drop(sha256)
                return {"complete": True, "received": size}
            partial = self._partial.get(sha256)
            if partial is None or partial.size != size:
                partial = self._begin(sha256, size)
            if offset > partial.received:
                raise RequestProblem(
                    "offset", "a piece before this one is missing", received=partial.received
                )
            new = data[partial.received - offset :]
            if partial.received + len(new) > size:
                self._drop(sha256)
                raise RequestProblem("digest", "the content is longer than its size")
            try:
                write_all(partial.fd, new)
            except OSError:
                self._drop(sha256)
                raise
            partial.digest.update(new)
            partial.received += len(new)
            if partial.received < size:
                return {"complete": False, "received": partial.received}
            right = partial.digest.hexdigest() == sha256
            if right:
                self._keep(sha256, partial)
            self._drop(sha256)
            if not right:
                raise RequestProblem("digest", f"the content does not have the digest {sha256}")
            return {"complete": True, "received": size}

    def copy_to(self, sha256: str, target: int) -> bool:
        """Write a content into an empty file, and verify it; False if it is not here.

        The file never shares its blocks with the cache: a command may write to it.
        """
        path = self._path(sha256)
        try:
            source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            digest = hashlib.sha256()
            if _clone(source, target):
                for chunk in _chunks(target):
                    digest.update(chunk)
            else:
                for chunk in _chunks(source):
                    digest.update(chunk)
                    write_all(target, chunk)
        finally:
            os.close(source)
        if digest.hexdigest() != sha256:
            # The disk changed it, or somebody did. The next copy that needs it gets it anew.
            with suppress(FileNotFoundError):
                path.unlink()
            return False
        with suppress(OSError):
            os.utime(path)
        return True

    def close(self) -> None:
        """Drop what is not complete."""
        with self._lock:
            for sha256 in list(self._partial):
                self._drop(sha256)

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    def _begin(self, sha256: str, size: int) -> _Partial:
        self._drop(sha256)
        if len(self._partial) >= PARTIAL_MAX:
            self._drop(next(iter(self._partial)))
        path = self._folder / f"{sha256}.{secrets.token_hex(4)}.partial"
        self._partial[sha256] = _Partial(path, size)
        return self._partial[sha256]

    def _keep(self, sha256: str, partial: _Partial) -> None:
        path = self._path(sha256)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        os.replace(partial.path, path)
        self._total += partial.size
        if self._total > self._limit_bytes:
            self._evict(sha256)

    def _drop(self, sha256: str) -> None:
        partial = self._partial.pop(sha256, None)
        if partial is not None:
            os.close(partial.fd)
            with suppress(FileNotFoundError):
                partial.path.unlink()

    def _evict(self, kept: str) -> None:
        """Remove the contents that were used last the longest time ago, down to nine tenths."""
        found = sorted(self._listed())
        needed = {kept, *self._needed()}
        total = sum(size for _, size, _ in found)
        for _, size, path in found:
            if total <= self._limit_bytes * 0.9:
                break
            if path.name in needed:
                continue
            with suppress(FileNotFoundError):
                path.unlink()
            total -= size
        self._total = total

    def _listed(self) -> list[tuple[float, int, Path]]:
        found = []
        for path in self._folder.glob("??/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        return found


def _clone(source: int, target: int) -> bool:
    try:
        import fcntl

        fcntl.ioctl(target, _CLONE, source)
    except OSError:
        return False
    return True


def _chunks(fd: int) -> Iterable[bytes]:
    os.lseek(fd, 0, os.SEEK_SET)
    while chunk := os.read(fd, _CHUNK):
        yield chunk
