"""The gate of `orc browse`: host names, sites, one-time links, cookies; no request passes without."""

from __future__ import annotations

import asyncio
import hashlib
import re
from base64 import b64encode
from typing import Any

import pytest

from orc.cli.browse.gate import OPEN_PATH, PARAMETER, gated
from orc.cli.browse.sessions import SESSIONS_MAX, Sessions

HOST = "127.0.0.1:8001"


OPENED_ELSEWHERE = {
    "sec_fetch_site": "cross-site",
    "sec_fetch_mode": "navigate",
    "sec_fetch_dest": "document",
    "accept": "text/html",
}


class Server:
    """The gate in front of an application that counts its requests."""

    def __init__(self, *, is_own_user: bool = True) -> None:
        self.sessions = Sessions()
        self.seen: list[dict[str, Any]] = []
        self._app = gated(self._answer, self.sessions, is_own_user=lambda scope: is_own_user)

    async def _answer(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.seen.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the ledger"})

    def ask(
        self,
        address: str = "/",
        *,
        method: str = "GET",
        host: str | None = HOST,
        body: str = "",
        **headers: str,
    ) -> tuple[int, dict[str, str], str]:
        """The status, the headers and the text of the answer; `_` in a header's name is `-`."""
        path, _, query = address.partition("?")
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        hosts = [] if host is None else [("host", one) for one in host.split(",")]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(n.encode(), v.encode("latin-1")) for n, v in [*hosts, *given.items()]],
        }
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        self.run(scope, send, body)
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], found, b"".join(one["body"] for one in sent[1:]).decode()

    def run(self, scope: dict[str, Any], send: Any, body: str = "") -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body.encode(), "more_body": False}

        async def answer() -> None:
            await self._app(scope, receive, send)

        asyncio.run(answer())

    def link(self) -> str:
        """What is in the fragment of a new link."""
        return f"{PARAMETER}={self.sessions.new_token()}"

    def open(self, link: str, **options: Any) -> tuple[int, dict[str, str], str]:
        """The answer to the token of a link."""
        return self.ask(OPEN_PATH, **{"method": "POST", "body": link, **options})

    def cookie(self) -> str:
        """A cookie, as a browser gets it."""
        return self.open(self.link())[1]["set-cookie"].partition(";")[0]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8001", 403),
        ("LOCALHOST:9", 403),
        ("localhost", 403),
        ("[::1]:8001", 403),
        ("[::1]", 403),
        ("evil.example:8001", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1:8001@evil.example", 421),
        ("localhost:8001,evil.example", 421),
        ("127.0.0.2", 421),
        ("", 421),
        (None, 421),
    ],
)
def test_only_names_of_this_machine_are_answered(host: str | None, status: int) -> None:
    server = Server()
    assert server.ask(host=host)[0] == status
    # Not even with a token, which stays usable.
    link = server.link()
    assert server.open(link, host=host)[0] == (421 if status == 421 else 200)
    assert server.seen == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("address", ["/", "/runs.json", "/-/orc-static/x/orc.css", "/runs?sql=1"])
def test_nothing_is_answered_without_a_cookie(method: str, address: str) -> None:
    server = Server()
    cookie = server.cookie()
    value = cookie.partition("=")[2]
    for given in (
        "",
        cookie[:-1],
        f"{cookie}x",
        f"orc_session_80={value}",
        f"x={value}",
        cookie.partition("=")[0],
        f"{cookie.upper()}",
        "orc_session_8001=é\udcff".encode("latin-1", "replace").decode("latin-1"),
    ):
        status, headers, _ = server.ask(address, method=method, cookie=given)
        assert status == 403, given
        assert headers["cache-control"] == "no-store"
    assert server.seen == []
    assert server.ask(address, method=method, cookie=f"a=b; {cookie}; c=d")[0] == 200


def test_a_link_gives_a_cookie_once() -> None:
    server = Server()
    link = server.link()
    status, headers, page = server.open(link)
    assert status == 200
    assert 'content="0;url=/"' in page
    assert headers["cache-control"] == "no-store"
    name, value, *flags = re.split("[=;] ?", headers["set-cookie"])
    assert name == "orc_session_8001"
    assert len(value) >= 43
    assert flags == ["Path", "/", "HttpOnly", "SameSite", "Strict"]
    assert link.partition("=")[2] not in page + str(headers)

    status, headers, page = server.open(link, accept="text/html")
    assert status == 403
    assert "set-cookie" not in headers
    assert "press Enter" in page
    assert server.seen == []


@pytest.mark.parametrize("site", [{}, OPENED_ELSEWHERE], ids=["typed", "led here"])
def test_the_page_for_a_browser_without_a_session_exchanges_the_token(site: dict[str, str]) -> None:
    server = Server()
    status, headers, page = server.ask("/-/orc/runs/job_1?at=3", **{"accept": "text/html", **site})
    assert status == 403
    (script,) = re.findall("<script>(.*)</script>", page, re.DOTALL)
    assert f'fetch("{OPEN_PATH}", {{ method: "POST"' in script
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = headers["content-security-policy"]
    assert f"script-src 'sha256-{digest}'; connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


def test_a_token_in_the_query_opens_nothing() -> None:
    server = Server()
    link = server.link()
    for method in ("GET", "HEAD", "POST"):
        status, headers, _ = server.ask(f"/?{link}", method=method)
        assert (status, "set-cookie" in headers) == (403, False)
    assert server.open(link)[0] == 200


def test_a_new_link_makes_the_last_one_useless_if_it_was_not_used() -> None:
    server = Server()
    first, second = server.link(), server.link()
    assert server.open(first)[0] == 403
    assert server.open(second)[0] == 200
    for wrong in (f"{PARAMETER}=", "", PARAMETER, f"{PARAMETER}={'x' * 100_000}", "\xff"):
        assert server.open(wrong)[0] == 403


def test_only_a_post_of_our_own_page_uses_a_link() -> None:
    server = Server()
    link = server.link()
    for method in ("GET", "HEAD", "PUT", "OPTIONS"):
        assert server.open(link, method=method)[0] == 403
    assert server.open(link, origin="http://evil.example")[0] == 403
    assert server.open(link, sec_fetch_site="cross-site")[0] == 403
    assert server.open(link, sec_fetch_site="same-origin", origin=f"http://{HOST}")[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"sec_fetch_site": "same-origin", "origin": f"http://{HOST}"}, 200),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "anything"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "http://localhost:8001"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": f"http://{HOST}.evil.example"}, 403),
        ({"origin": "http://[evil"}, 403),
        ({"sec_fetch_site": "none", "origin": "http://evil.example"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_request_of_another_site_or_port_is_refused_even_with_the_cookie(
    method: str, headers: dict[str, str], status: int
) -> None:
    server = Server()
    cookie = server.cookie()
    assert server.ask("/runs?sql=1", method=method, cookie=cookie, **headers)[0] == status
    assert len(server.seen) == (status == 200)


def test_a_link_on_another_site_leads_to_a_page_that_the_person_can_go_on_from() -> None:
    server = Server()
    opened = OPENED_ELSEWHERE
    status, _, page = server.ask("/runs?sql=1&x=<b>", **opened)
    assert status == 403
    assert 'href="/runs?sql=1&amp;x=&lt;b&gt;"' in page
    for other in ({"sec_fetch_dest": "iframe"}, {"sec_fetch_mode": "no-cors"}):
        assert (
            "href=" not in server.ask("/runs?sql=1", **{**opened, **other})[2].partition("<main")[2]
        )
    assert server.seen == []


def test_the_pages_do_not_see_the_cookie() -> None:
    server = Server()
    cookie = server.cookie()
    server.ask(cookie=f"a=b; {cookie}")
    server.ask(cookie=cookie)
    seen = [dict(scope["headers"]) for scope in server.seen]
    assert [headers.get(b"cookie") for headers in seen] == [b"a=b", None]


def test_another_user_gets_in_neither_with_the_cookie_nor_with_the_link() -> None:
    server = Server(is_own_user=False)
    token = server.sessions.new_token()
    assert server.open(f"{PARAMETER}={token}")[0] == 403
    cookie = server.sessions.open(token)
    assert cookie is not None, "the token was not used up"
    assert server.ask(cookie=f"orc_session_8001={cookie}")[0] == 403
    assert server.seen == []


def test_a_web_socket_is_closed() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    server = Server()
    server.run({"type": "websocket", "headers": []}, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_sessions_are_bounded_and_the_oldest_one_ends() -> None:
    sessions = Sessions()
    cookies = [sessions.open(sessions.new_token()) or "" for _ in range(SESSIONS_MAX + 1)]
    assert not sessions.has(cookies[0])
    assert all(map(sessions.has, cookies[1:]))
    assert len(set(cookies)) == len(cookies)
