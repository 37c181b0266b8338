"""Opens the user's web browser, without showing the link to other users of the machine."""

from __future__ import annotations

import html
import os
import sys
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path

from orc.ledger.files.private_folder import BROWSER_PAGE, PrivateFolder


class Opener:
    """Opens links in the web browser by way of a file that only this user can read.

    The arguments of a process are visible to every user (`ps`), so the browser is given the name
    of the file, and not the link.
    """

    def __init__(self) -> None:
        self._folders: list[PrivateFolder] = []

    def open(self, url: str) -> None:
        """Open the link, if a graphical browser is available.

        It runs in a thread: `webbrowser` may wait for the browser, which waits for this server.
        """
        has_window = sys.platform == "darwin" or any(
            name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
        )
        if has_window:
            file = self._write(url)
            # Without a free thread the browser is not opened: the link was printed.
            with suppress(RuntimeError):
                threading.Thread(target=_open, args=(file.as_uri(),), daemon=True).start()

    def remove_files(self) -> None:
        """Delete the files. Their links have been used, or end with the server."""
        while self._folders:
            self._folders.pop().cleanup()

    def _write(self, url: str) -> Path:
        folder = PrivateFolder(BROWSER_PAGE)
        self._folders.append(folder)
        file = folder.path / "open.html"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(_PAGE.format(url=html.escape(url)))
        return file


_PAGE = """\
<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0;url={url}">
<title>orc</title>
<p><a href="{url}">Open the pages of orc</a></p>
"""


def _open(url: str) -> None:
    # An error is ignored: the link was printed.
    with suppress(webbrowser.Error, OSError):
        webbrowser.open(url)
