"""A watch over what code does while it runs: nothing is started, sent, written, imported or compiled.

Python's audit hooks cannot be taken off again, so the one hook looks at a flag of
its own thread and is silent elsewhere.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.built import build_models

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NUMBER = re.compile(rb"[0-9.eE+-]+")
_FORBIDDEN = (
    "code.__new__",
    "compile",
    "ctypes.",
    "exec",
    "fcntl.",
    "ftplib.",
    "http.client.",
    "import",
    "marshal.",
    "os.chmod",
    "os.chown",
    "os.exec",
    "os.fork",
    "os.kill",
    "os.link",
    "os.mkdir",
    "os.posix_spawn",
    "os.putenv",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.setxattr",
    "os.spawn",
    "os.startfile",
    "os.symlink",
    "os.system",
    "os.truncate",
    "os.unsetenv",
    "os.utime",
    "pickle.",
    "pty.",
    "shutil.",
    "signal.",
    "smtplib.",
    "socket.",
    "sqlite3.",
    "subprocess.",
    "tempfile.",
    "urllib.",
    "webbrowser.",
)


class DidSomething(BaseException):
    """Code under watch did what it may not do. No handler of ordinary errors sees it."""


class _Watch(threading.local):
    is_on = False
    seen: str | None = None


_watch = _Watch()
_is_hooked = False


@contextmanager
def watched() -> Iterator[None]:
    """Fail with DidSomething when the body does anything but compute and read files."""
    global _is_hooked
    if not _is_hooked:
        build_models()
        sys.addaudithook(_hook)
        _is_hooked = True
    _watch.seen = None
    _watch.is_on = True
    try:
        yield
    finally:
        _watch.is_on = False
    # Something may have swallowed the error itself.
    if _watch.seen is not None:
        raise DidSomething(_watch.seen)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watch is None:  # the interpreter is ending, and a hook cannot be removed
        return
    if not _watch.is_on or not _is_forbidden(event, arguments):
        return
    _watch.is_on = False
    _watch.seen = f"{event} {arguments!r}"[:500]
    raise DidSomething(_watch.seen)


def _is_forbidden(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        return bool(arguments[2] & _WRITES)
    if event == "compile" and isinstance(arguments[0], bytes):
        # Jinja reads the number of an expression as a literal of Python.
        return _NUMBER.fullmatch(arguments[0]) is None
    return event.startswith(_FORBIDDEN)
