"""Plays other users of the machine, with real user ids. That needs root."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

ANOTHER = 54321
"""The id of a user, and of a group, that does not exist."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other users")

Value = TypeVar("Value")


def as_user(function: Callable[[], Value], uid: int = ANOTHER) -> Value:
    """Call the function in a child process of that user, with no other group; its result.

    The child has the modules of this process. It may be unable to import others.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            result: object = function()
        except BaseException as error:
            result = error
        with os.fdopen(write, "wb") as pipe:
            pipe.write(pickle.dumps(result))
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        found = pickle.loads(pipe.read())
    os.waitpid(child, 0)
    if isinstance(found, BaseException):
        raise found
    result_of_child: Value = found
    return result_of_child


@contextmanager
def shared_folder(mode: int = 0o755) -> Iterator[Path]:
    """A new folder that other users can enter."""
    folder = Path(tempfile.mkdtemp(prefix="orc-test-", dir="/tmp"))  # TMPDIR is of this user alone
    folder.chmod(mode)
    try:
        yield folder.resolve()
    finally:
        shutil.rmtree(folder)


def give(*paths: Path, uid: int = ANOTHER) -> None:
    """Make the files, links and folders those of another user."""
    for path in paths:
        os.chown(path, uid, uid, follow_symlinks=False)


def hot_journal(database: Path, victim: Path) -> bytes:
    """A rollback journal for the database that lets SQLite delete the file `victim`."""
    content = database.read_bytes()
    (page_bytes,) = struct.unpack(">H", content[16:18])
    magic = bytes.fromhex("d9d505f920a163d7")
    pages = len(content) // page_bytes
    header = (magic + struct.pack(">IIIII", 0, 7, pages, 512, page_bytes)).ljust(512, b"\0")
    name = os.fsencode(victim)
    end = struct.pack(">I", 2**30 // page_bytes + 1) + name
    return header + end + struct.pack(">II", len(name), sum(name)) + magic
