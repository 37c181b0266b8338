"""Decides whether another user could change a ledger, or the files beside it that SQLite obeys.

SQLite plays back a `NAME-journal`, and deletes the file that the journal names, as soon as a
connection may write; it reads `NAME-wal` and `NAME-shm` as parts of the database. This module looks
at these files, at the search index, at the folders of locks and of large files, and at each folder on
the way to the root. It uses descriptors and `fstat`; it opens no file, and SQLite is not involved.
`docs/security.md` has the rule as a table.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, NamedTuple

from orc.ledger.errors import ExposedFiles
from orc.ledger.files.way import Entry, Way, is_file_mount, open_way, real_path
from orc.ledger.files.written_paths import written_path

VARIABLE = "ORC_TRUSTED_FOLDERS"
"""The environment variable with folders in which other users may write, separated by `:`."""

SIDE_FILES = ("-journal", "-wal", "-shm")
_INDEX = ".search"
_LOCKS = ".locks"
_FILES = ".files"
_everything_is_trusted: ContextVar[bool] = ContextVar("everything_is_trusted", default=False)


class Fault(NamedTuple):
    """What is wrong with a path, and the remedy.

    The cause is other users who can write, another kind than a plain file or folder, or a second
    name. Trust in other users is a remedy for the first alone.
    """

    path: Path
    what: str
    remedy: str
    cause: Literal["writers", "kind", "names"] = "writers"


class Examined(NamedTuple):
    """A ledger or a folder, and its faults; without faults it is one's own.

    `path` has no links. `identity` is the device and inode; None if there is nothing at the path.
    """

    path: Path
    identity: tuple[int, int] | None
    faults: tuple[Fault, ...]

    @property
    def is_own(self) -> bool:
        """Whether no other user can change it."""
        return not self.faults

    def refuse(self, purpose: str) -> None:
        """Raise ExposedFiles, with all faults, unless it is one's own. `purpose` begins the message."""
        if self.is_own:
            return
        faults = ". ".join(_grouped(self.faults))
        is_trustable = all(fault.cause == "writers" for fault in self.faults)
        hint = f". If you trust the users who can write there, name the folder in {VARIABLE}"
        raise ExposedFiles(
            f"{purpose}: {faults}{hint if is_trustable else ''}", is_trustable=is_trustable
        )


def _grouped(faults: tuple[Fault, ...]) -> Iterator[str]:
    """A sentence for the faults that have the same remedy."""
    paths: dict[tuple[str, str], list[str]] = {}
    for fault in faults:
        paths.setdefault((fault.what, fault.remedy), []).append(str(fault.path))
    for (what, remedy), (first, *others) in paths.items():
        also = f", and likewise {', '.join(others)}" if others else ""
        yield f"{first} {what}{also}; {remedy}"


@contextmanager
def trusting(everything: bool) -> Iterator[None]:
    """In the block, and in tasks and threads that it starts, trust other users if `everything`."""
    token = _everything_is_trusted.set(everything or _everything_is_trusted.get())
    try:
        yield
    finally:
        _everything_is_trusted.reset(token)


def examine_ledger(database: Path, *, with_locks: bool = False) -> Examined:
    """The ledger at that path, with its faults.

    With `with_locks`, also those of each lock file, and of each file of the store of large files.

    Raises OSError if a folder on the way cannot be entered.
    """
    with open_way(database) as way:
        faults = [*_faults_on_the_way(way), *_faults_of_database(way)]
        faults += _faults_beside(way)
        for suffix in (_LOCKS, _FILES):
            faults += _faults_of_folder(way, suffix, with_files=with_locks)
        return _examined(way, faults)


def examine_folder(folder: Path, *, is_end: bool = True) -> Examined:
    """The folder, with its faults: other users must not be able to write in it.

    If it is not the end of the way, a folder of one's own will be made in it: it may be sticky. Raises
    OSError as `examine_ledger`.
    """
    with open_way(folder, is_folder=True) as way:
        return _examined(way, list(_faults_on_the_way(way, is_end=is_end)))


def is_own_folder(path: Path) -> bool:
    """Whether it is a folder, no link, in which only this user can change files. Raises OSError."""
    entry = Entry(path, os.lstat(path))
    return not any(_faults_inside(entry, levels=0, with_files=False))


def examine_beside(path: Path, other: Path | None) -> Examined:
    """A file that is used since it is beside another one, with its faults.

    Nobody may write it but this user, root, and who can write the `other` file; None if the user named
    no file. Raises OSError.
    """
    owners, is_shared = {os.geteuid(), 0}, False
    if other is not None:
        known = os.stat(other)
        owners.add(known.st_uid)
        is_shared = others_may_write(Entry(other, known))
    faults = []
    # A link, and the file behind it.
    for status in (os.lstat(path), os.stat(path)):
        if status.st_uid not in owners:
            what = f"belongs to {_user(status.st_uid)}"
        elif others_may_write(Entry(path, status)) and not is_shared:
            what = "can be written by others"
        else:
            continue
        faults.append(Fault(path, what, "use a folder of your own"))
    trusted = _trusted_folders()
    kept = tuple(fault for fault in dict.fromkeys(faults) if not _is_trusted(fault, trusted))
    return Examined(path, (status.st_dev, status.st_ino), kept)


def _examined(way: Way, faults: list[Fault]) -> Examined:
    trusted = _trusted_folders()
    identity = None if way.status is None else (way.status.st_dev, way.status.st_ino)
    kept = [
        fault for fault in faults if fault.cause != "writers" or not _is_trusted(fault, trusted)
    ]
    return Examined(way.path, identity, tuple(dict.fromkeys(kept)))


def _trusted_folders() -> list[Path]:
    named = os.environ.get(VARIABLE, "")
    return [
        real_path(written_path(name, of=VARIABLE))
        for name in named.split(":")
        if name.startswith(("/", "~", "$"))
    ]


def _is_trusted(fault: Fault, trusted: list[Path]) -> bool:
    if _everything_is_trusted.get():
        return True
    return any(folder == fault.path or folder in fault.path.parents for folder in trusted)


def _faults_on_the_way(way: Way, *, is_end: bool = True) -> Iterator[Fault]:
    for entry in way.entries:
        status = entry.status
        if not is_own(status):
            yield _belongs_to_another(entry)
        elif stat.S_ISDIR(status.st_mode) and others_may_write(entry):
            is_last = is_end and entry.path == way.folder
            is_sticky = bool(status.st_mode & stat.S_ISVTX)
            if is_sticky and not is_last:
                # Here a user cannot replace what belongs to another one. The next entry on the way
                # is examined on its own.
                continue
            if is_sticky:
                what = "is a folder in which every user can create files"
                yield Fault(entry.path, what, _MOVE)
            else:
                yield _can_be_written(entry)


def _faults_of_database(way: Way) -> Iterator[Fault]:
    if way.status is None:
        return
    entry = Entry(way.path, way.status)
    if not stat.S_ISREG(way.status.st_mode):
        yield Fault(way.path, "is not a regular file", "name another file with --db", "kind")
        return
    yield from _faults_of_file(entry)
    if is_file_mount(way):
        what = "is mounted alone, without the files beside it"
        yield Fault(way.path, what, "mount the folder that contains the ledger", "names")


def _faults_beside(way: Way) -> Iterator[Fault]:
    if way.name is None:
        return
    for suffix in (*SIDE_FILES, _INDEX, *(_INDEX + side for side in SIDE_FILES)):
        entry = way.beside(suffix)
        if entry is None:
            continue
        if not stat.S_ISREG(entry.status.st_mode):
            what = "is a link" if stat.S_ISLNK(entry.status.st_mode) else "is not a regular file"
            yield Fault(entry.path, what, f"remove {entry.path}", "kind")
        else:
            yield from _faults_of_file(entry)


def _faults_of_file(entry: Entry) -> Iterator[Fault]:
    if not is_own(entry.status):
        yield _belongs_to_another(entry)
    elif others_may_write(entry):
        yield _can_be_written(entry)
    if entry.status.st_nlink > 1:
        what = f"has {entry.status.st_nlink} names (hard links), each with other files beside it"
        yield Fault(
            entry.path, what, "remove the other names, or take a copy (orc backup)", "names"
        )


def _faults_of_folder(way: Way, suffix: str, *, with_files: bool) -> Iterator[Fault]:
    """The faults of a folder beside the ledger; with `with_files`, also those of all files in it."""
    folder = None if way.name is None else way.beside(suffix)
    if folder is not None:
        yield from _faults_inside(
            folder, levels=1 if suffix == _FILES else 0, with_files=with_files
        )


def _faults_inside(folder: Entry, *, levels: int, with_files: bool) -> Iterator[Fault]:
    """The faults of a folder, and of what is in it; its subfolders are `levels` deep."""
    if not stat.S_ISDIR(folder.status.st_mode):
        what = "is a link" if stat.S_ISLNK(folder.status.st_mode) else "is not a folder"
        yield Fault(folder.path, what, f"remove {folder.path}", "kind")
    elif not is_own(folder.status):
        yield _belongs_to_another(folder)
    elif others_may_write(folder):
        yield _can_be_written(folder)
    elif with_files:
        yield from _faults_of_files(folder.path, levels)


def _faults_of_files(folder: Path, levels: int) -> Iterator[Fault]:
    with suppress(OSError), os.scandir(folder) as found:
        for name in sorted(item.name for item in found):
            entry = Entry(folder / name, os.lstat(folder / name))
            if levels and not stat.S_ISREG(entry.status.st_mode):
                yield from _faults_inside(entry, levels=levels - 1, with_files=True)
            elif not stat.S_ISREG(entry.status.st_mode):
                yield Fault(entry.path, "is not a regular file", f"remove {entry.path}", "kind")
            else:
                yield from _faults_of_file(entry)


_MOVE = "move the ledger into a folder of your own"


def _belongs_to_another(entry: Entry) -> Fault:
    return Fault(entry.path, f"belongs to {_user(entry.status.st_uid)}", "take a copy (orc backup)")


def _can_be_written(entry: Entry) -> Fault:
    remedy = f"chmod go-w {entry.path}" if entry.status.st_uid == os.geteuid() else _MOVE
    return Fault(entry.path, "can be written by others", remedy)


def is_own(status: os.stat_result) -> bool:
    """Whether the file belongs to this user or to root."""
    return status.st_uid in (os.geteuid(), 0)


def others_may_write(entry: Entry) -> bool:
    """Whether the mode lets other users write, except through this user's private group."""
    mode = entry.status.st_mode
    if stat.S_ISLNK(mode):
        return False
    if mode & stat.S_IWOTH:
        return True
    return bool(mode & stat.S_IWGRP) and not (
        _is_own_group(entry.status.st_gid) and not _has_access_list(entry.path)
    )


def _is_own_group(group: int) -> bool:
    """Whether this is the user's private group, with no other member.

    Many systems give each user such a group, with a umask of 002: new folders are then writable
    by the group.
    """
    import grp
    import pwd

    try:
        user = pwd.getpwuid(os.geteuid())
        entry = grp.getgrgid(group)
    except KeyError:
        return False
    is_private = group == user.pw_gid and entry.gr_name == user.pw_name
    return is_private and set(entry.gr_mem) <= {user.pw_name}


def _has_access_list(path: Path) -> bool:
    """Whether the file has a POSIX access list: the mode's group bits then stand for its entries."""
    try:
        os.getxattr(path, "system.posix_acl_access", follow_symlinks=False)
    except (OSError, AttributeError):
        return False
    return True


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
