"""The mode of a file as it is recorded: three octal digits, or None for an ordinary file.

The record does not depend on the umask of the process that ran the command, so that the same work
has the same result for everybody: it is what the command would have left under the umask 022.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from functools import lru_cache

ORDINARY_BITS = 0o644
_COMMON_UMASK = 0o022
_ASKED_FOR = (0o666, 0o777, 0o444, 0o555)
"""The modes that programs ask for and that the umask then limits: of a new file, of an executable
one, and of both without the permission to write."""
_MODE = "[0-7]{3}"


def is_mode(text: object) -> bool:
    """Whether the text is a recorded mode: three octal digits, such as `755`."""
    return isinstance(text, str) and re.fullmatch(_MODE, text) is not None


def kept_mode(st_mode: int, umask: int | None = None) -> str | None:
    """The recorded mode of a file: its permission bits, without setuid, setgid and sticky bits.

    `umask` is that of the process which made the file; None: that of this process. A mode that the
    umask cannot have left was set on purpose, and is recorded as it is.
    """
    bits, mask = st_mode & 0o777, current_umask() if umask is None else umask
    for asked in _ASKED_FOR:
        if bits == asked & ~mask:
            bits = asked & ~_COMMON_UMASK
            break
    return None if bits == ORDINARY_BITS else f"{bits:03o}"


def restored_bits(mode: str | None, umask: int | None = None) -> int:
    """The permission bits with which a recorded file is made for a command or a person.

    It is the inverse of `kept_mode`: a mode that a umask limits is limited by this one. Raises
    ValueError for a text that is no mode.
    """
    if mode is not None and not is_mode(mode):
        raise ValueError(f"{mode!r} is not a mode: three octal digits")
    bits = ORDINARY_BITS if mode is None else int(mode, 8)
    mask = current_umask() if umask is None else umask
    for asked in _ASKED_FOR:
        if bits == asked & ~_COMMON_UMASK:
            return asked & ~mask
    return bits


def open_unlocked(name: str, folder: int, open_it: Callable[[], int]) -> int:
    """The descriptor that `open_it` gives, also if the owner of the file may not read it.

    `name` is the file's in the open `folder`. It is made readable for the moment of the opening, and
    has its mode again afterwards. Raises OSError.
    """
    try:
        return open_it()
    except PermissionError:
        bits = stat.S_IMODE(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        if bits & 0o400:
            raise
    os.chmod(name, bits | 0o400, dir_fd=folder)
    fd = -1
    try:
        fd = open_it()
    finally:
        if fd >= 0:
            os.fchmod(fd, bits)
        else:
            os.chmod(name, bits, dir_fd=folder)
    return fd


@lru_cache(maxsize=1)
def current_umask() -> int:
    """The umask of this process."""
    # It can only be read by setting it.
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
