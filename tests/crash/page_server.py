"""A real `orc browse --allow-actions` with a client that opens its link and sends its forms."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.processes import end_process, start_orc

PAGES = "/-/orc/runs"


class PageServer:
    """The server and its client. A form is sent from the page `path`, below `/-/orc/runs`."""

    def __init__(self, folder: Path, **environment: str) -> None:
        options = ("--no-open", "--port", "0", "--json", "--allow-actions", "--specs", str(folder))
        self.process = start_orc("browse", *options, cwd=folder, **environment)
        assert self.process.stdout is not None
        url = json.loads(self.process.stdout.readline())["url"]
        self._home = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        # What the script of the first page does.
        self._ask(
            urllib.request.Request(f"{self._home}/-/orc-open", urlsplit(url).fragment.encode())
        )

    def see(self, path: str) -> str:
        """The text of a page, without its tags."""
        return re.sub(r"<[^>]+>", "", self._ask(f"{self._home}{PAGES}{path}")[1])

    def send(self, path: str, **form: Any) -> tuple[int, str]:
        """The status of the answer to a form, and the text of the page to which it leads."""
        _, page = self._ask(f"{self._home}{PAGES}{path}")
        token = re.search(r'name="csrftoken" value="([^"]+)"', page)
        once = re.search(r'name="once" value="([^"]+)"', page)
        assert token is not None
        fields = {"csrftoken": token[1], "once": once[1] if once else "", **form}
        body = urlencode(fields, doseq=True).encode()
        request = urllib.request.Request(f"{self._home}{PAGES}{path}", body)
        request.add_header("Origin", self._home)
        return self._ask(request)

    def kill(self) -> None:
        """Kill the server as `kill -9` does."""
        end_process(self.process)

    def _ask(self, request: str | urllib.request.Request) -> tuple[int, str]:
        try:
            with self._opener.open(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
