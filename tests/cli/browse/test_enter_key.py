"""Enter in the terminal of `orc browse` prints a new link, which makes the last one useless."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orc.cli.browse.enter_key import on_enter
from tests.builders import step
from tests.processes import ORC
from tests.projections.support import begun, open_in, write

_LINK = re.compile(rb"http://127\.0\.0\.1:\d+/#orc_token=[\w-]{43}")


def test_enter_prints_a_new_link(tmp_path: Path) -> None:
    with open_in(tmp_path) as ledger:
        write(ledger, begun(step("a")))
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.execv(ORC, [str(ORC), "browse", "--no-open", "--port", "0"])
    try:
        shown = _read_until(terminal, b"Ctrl-C to stop")
        assert b"Press Enter for another one" in shown
        (first,) = _LINK.findall(shown)
        os.write(terminal, b"\n")
        (second,) = _LINK.findall(_read_until(terminal, b"orc_token=" + b"\\S{43}"))
        assert first != second
        with pytest.raises(urllib.error.HTTPError, match="403"):
            _open(first.decode())
        assert _open(second.decode()) == 200
        os.write(terminal, b"\x03")
        _, status = os.waitpid(process, 0)
        assert os.waitstatus_to_exitcode(status) in (130, -signal.SIGINT)
        process = 0
    finally:
        os.close(terminal)
        if process:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _open(link: str) -> int:
    """The status of the answer to the token of a link."""
    parts = urlsplit(link)
    address = f"{parts.scheme}://{parts.netloc}/-/orc-open"
    with urllib.request.urlopen(address, parts.fragment.encode(), timeout=30) as answer:
        return int(answer.status)


def test_without_a_terminal_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with open(reading) as stdin, open(writing, "w"):
        monkeypatch.setattr("sys.stdin", stdin)
        assert not on_enter(lambda: None)
    monkeypatch.setattr("sys.stdin", None)
    assert not on_enter(lambda: None)


def _read_until(terminal: int, pattern: bytes) -> bytes:
    shown = b""
    deadline = time.monotonic() + 60
    while not re.search(pattern, shown):
        assert time.monotonic() < deadline, shown
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65536)
    return shown
