"""Opening a browser: the link is in a file that only this user can read, and in no argument."""

from __future__ import annotations

import stat
import threading
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orc.cli.browse.opening import Opener

LINK = 'http://127.0.0.1:1/#orc_token=secret&x="<b>'


def test_the_browser_is_given_a_private_file_and_not_the_link(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []
    done = threading.Event()

    def browser(url: str) -> bool:
        opened.append(url)
        done.set()
        return True

    monkeypatch.setattr(webbrowser, "open", browser)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("BROWSER", "any")
    opener = Opener()
    opener.open(LINK)
    assert done.wait(20)
    (address,) = opened
    assert "secret" not in address
    file = Path(urlsplit(address).path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    text = file.read_text("utf-8")
    assert 'content="0;url=http://127.0.0.1:1/#orc_token=secret&amp;x=&quot;&lt;b&gt;"' in text
    assert '<meta name="referrer" content="no-referrer">' in text
    opener.remove_files()
    assert list(tmp_path.iterdir()) == []


def test_a_browser_that_waits_for_the_server_does_not_block_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served, opened = threading.Event(), threading.Event()

    def wait(url: str) -> bool:
        if served.wait(20):
            opened.set()
        return True

    monkeypatch.setattr(webbrowser, "open", wait)
    monkeypatch.setenv("BROWSER", "any")
    opener = Opener()
    opener.open(LINK)
    served.set()
    assert opened.wait(20)
    opener.remove_files()
