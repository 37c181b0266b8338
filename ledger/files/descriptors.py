"""Opens files that may be anything, and makes durable what was written.

Every command imports this module, so that it imports nothing that loads slowly.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_NOT_SUPPORTED = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
NO_LOCKS = (errno.ENOLCK, *_NOT_SUPPORTED)
"""What `flock` fails with on a filesystem without locks."""

DASH = Path("-")
"""The standard input, where a file of the caller is read, and the standard output for one to write."""
_STANDARD = ("/dev/stdin", "/dev/stdout", "/dev/stderr")
_DESCRIPTORS = (Path("/dev/fd"), Path("/proc/self/fd"))
_read_before: dict[tuple[str, int, int], bytes] = {}
"""What was read from streams, by their names and the files behind them."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_regular(path: Path | str, *, folder: int | None = None) -> int:
    """A descriptor of a regular file, to read it; a relative path is one in the open `folder`.

    Raises OSError, also for a link, pipe, socket or device: to open one could block or have an effect.
    """
    if not stat.S_ISREG(os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode):
        raise _not_regular(path)
    fd = os.open(path, _READ, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _not_regular(path)
    return fd


def is_descriptor(path: Path) -> bool:
    """Whether the path names an open descriptor of this process: `/dev/stdin`, or that of `<(...)`.

    What is behind it may be a pipe: it is read or written once, from its beginning to its end.
    """
    return str(path) in _STANDARD or path.parent in _DESCRIPTORS


def is_stream(path: Path) -> bool:
    """Whether a file that is read is the standard input (`-`), or another open descriptor."""
    return path == DASH or is_descriptor(path)


def without_dash(path: Path, meant: str) -> Path:
    """The path; in place of `-` that of the stream that is `meant`, such as `/dev/stdin`."""
    return Path(meant) if path == DASH else path


def read_stream(path: Path, *, size_max: int) -> bytes:
    """The bytes of a stream, at most one more than `size_max`. Raises OSError.

    A pipe gives its bytes once, and a spec is read for its inputs, for the job, and for the lines in
    messages: later calls return the same bytes.
    """
    path = without_dash(path, "/dev/stdin")
    found = os.stat(path)
    key = (str(path), found.st_dev, found.st_ino)
    if key not in _read_before:
        with path.open("rb") as file:
            _read_before[key] = file.read(size_max + 1)
    return _read_before[key]


def streams_read() -> Iterator[bytes]:
    """What `read_stream` has read."""
    yield from list(_read_before.values())


def write_all(fd: int, content: bytes) -> None:
    """Write all of the content. Raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def sync_file(path: Path) -> None:
    """Make the content of the file durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(folder: int | Path) -> None:
    """Make the entries of a folder durable, where the filesystem can. Raises OSError."""
    if isinstance(folder, Path):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_folder(fd)
        finally:
            os.close(fd)
        return
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, *_NOT_SUPPORTED):
            raise


def _not_regular(path: Path | str) -> OSError:
    return OSError(errno.EINVAL, "not a regular file", str(path))
