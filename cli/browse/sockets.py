"""The listening sockets of `orc browse`: a port of 127.0.0.1, or a Unix socket of this user alone."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from orc.cli.errors import UsageProblem
from orc.ledger.files.descriptors import NO_LOCKS
from orc.ledger.files.exposure import examine_folder
from orc.ledger.files.way import real_path

HOST = "127.0.0.1"
PORT = 8001
_PORTS_TRIED = 20


def listen(port: int | None) -> socket.socket:
    """A listening socket on this port of 127.0.0.1; for None, on the first free port from 8001 on.

    Raises UsageProblem if the port cannot be used.
    """
    if port is not None:
        try:
            return _bind(port)
        except OSError as error:
            raise UsageProblem(
                f"--port {port}: {error.strerror}; name another port, or leave out --port"
            ) from error
    for candidate in (*range(PORT, PORT + _PORTS_TRIED), 0):
        try:
            return _bind(candidate)
        except OSError:
            continue
    raise UsageProblem(f"no port of {HOST} is free; close another program, or name one with --port")


def address_of(listener: socket.socket) -> str:
    """The URL of the socket. For a Unix socket, that of a port that `ssh -L` forwards to it."""
    if listener.family == socket.AF_UNIX:
        return f"http://localhost:{PORT}"
    return f"http://{HOST}:{listener.getsockname()[1]}"


class UnixSocket(Struct, frozen=True):
    """A listening Unix socket and its file. `remove` deletes the file if it is still this one."""

    listener: socket.socket
    path: Path
    identity: tuple[int, int, int]

    def remove(self) -> None:
        """Delete the file, unless another one has its name now."""
        with suppress(OSError):
            if _identity(self.path) == self.identity:
                os.unlink(self.path)


def listen_at(path: Path) -> UnixSocket:
    """A listening Unix socket (mode 0600) in a folder that only this user can change.

    The file of a server that has ended is replaced. Raises UsageProblem, also for any other file.
    """
    folder = real_path(path.absolute().parent)
    path = folder / path.name
    _check_folder(folder)
    with _only_starter(folder, path):
        _remove_dead(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
            listener.listen()
            identity = _identity(path)
        except OSError as error:
            listener.close()
            reason = error.strerror or str(error)
            raise UsageProblem(f"--uds {path}: {reason}; name another path") from error
        finally:
            os.umask(mask)
    return UnixSocket(listener, path, identity)


def _identity(path: Path) -> tuple[int, int, int]:
    """What distinguishes a file from later ones; with its time, since inodes are used again."""
    found = os.lstat(path)
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _check_folder(folder: Path) -> None:
    """Raise UsageProblem if another user could change the folder."""
    try:
        faults = examine_folder(folder).faults
    except OSError as error:
        raise UsageProblem(f"--uds: {folder}: {error.strerror}; make the folder first") from error
    if faults:
        raise UsageProblem(
            f"--uds: other users can change files in {faults[0].path}: it {faults[0].what}; "
            "make a folder of your own (mkdir -m 700) and name a socket in it"
        )


@contextmanager
def _only_starter(folder: Path, path: Path) -> Iterator[None]:
    """Keep two servers from replacing the file of the same dead one."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageProblem(f"--uds {path}: {error.strerror}; name another path") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageProblem(
                f"--uds {path}: another server is starting there; try again, or name another path"
            ) from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            raise UsageProblem(
                f"--uds {path}: {folder} is on a filesystem without file locks (flock); name a socket "
                "in a folder on a local disk"
            ) from error
        yield
    finally:
        os.close(descriptor)


def _remove_dead(path: Path) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        raise UsageProblem(
            f"--uds {path}: this is not a socket of yours, and it is left alone; name another path"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                os.unlink(path)
                return
    raise UsageProblem(f"--uds {path}: another server listens there; end it, or name another path")


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener
