"""The gate of `orc browse`: each request needs a session, and a one-time link begins one.

Any user of the machine can connect to a port of 127.0.0.1, and any site can make a browser do so.
What is refused here reaches neither Datasette nor the ledger.

The token of a link is in its fragment, which no browser sends, logs or tells another site. The page
for a browser without a session has a script (`exchange.js`) that sends it in the body of a POST.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

from msgspec.structs import replace

from orc.cli.browse.sessions import Sessions
from orc.projections.pages.notice import Notice, notice_of, send_notice
from orc.projections.pages.requests import (
    LOOPBACK_NAMES,
    Asgi,
    foreign_host,
    foreign_site,
    headers,
    host_of,
)

PARAMETER = "orc_token"
"""The name of the token in the fragment of a link."""

OPEN_PATH = "/-/orc-open"
"""Where the token is exchanged for the cookie, by a POST with `orc_token=...`."""

_BODY_BYTES_MAX = 1_000

_COOKIES_MAX = 20
IsOwnUser = Callable[[dict[str, Any]], bool]
"""Whether a process of this user made the connection of a request, as far as this is known."""


def gated(app: Asgi, sessions: Sessions, *, is_own_user: IsOwnUser = lambda scope: True) -> Asgi:
    """The app behind the gate."""

    async def guarded(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif refusal := foreign_host(scope, LOOPBACK_NAMES.__contains__):
            await send_notice(scope, send, notice_of(refusal))
        elif scope["method"] == "GET" and not _has_session(scope, sessions):
            # Also where another site or program led here: it may have been with a link.
            refusal = foreign_site(scope)
            notice = _NO_SESSION if refusal is None else notice_of(refusal)
            await send_notice(scope, send, replace(notice, script=_EXCHANGE))
        elif refusal := foreign_site(scope):
            await send_notice(scope, send, notice_of(refusal))
        elif scope["method"] == "POST" and scope["path"] == OPEN_PATH:
            await _open(scope, receive, send, sessions, is_own_user)
        elif not _has_session(scope, sessions):
            await send_notice(scope, send, _NO_SESSION)
        elif not is_own_user(scope):
            await send_notice(scope, send, _OTHER_USER)
        else:
            await app(_without_cookie(scope), receive, send)

    return guarded


def cookie_name(scope: dict[str, Any]) -> str:
    """The name of the cookie. It has the port, since the ports of a host share their cookies."""
    return f"orc_session_{host_of(scope)[1] or '80'}"


async def _open(
    scope: dict[str, Any], receive: Any, send: Any, sessions: Sessions, is_own_user: IsOwnUser
) -> None:
    """Answer a token with a cookie, or with how to get a new link.

    Of a form, the answer is a page that leads on, and not a redirect: the browser may come from
    another program's page, and it sends no `SameSite=Strict` cookie after a redirect that began there.
    """
    if not is_own_user(scope):
        await send_notice(scope, send, _OTHER_USER)
        return
    body = await _read(receive)
    token = dict(parse_qsl(body)).get(PARAMETER, "")
    cookie = sessions.open(token)
    if cookie is None:
        await send_notice(scope, send, _USED)
        return
    value = f"{cookie_name(scope)}={cookie}; Path=/; HttpOnly; SameSite=Strict"
    await send_notice(scope, send, _OPENED, [(b"set-cookie", value.encode())])


async def _read(receive: Any) -> str:
    """The body of the request; empty if it is too long."""
    body = b""
    while len(body) <= _BODY_BYTES_MAX:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return str(body, "latin-1")
    return ""


def _has_session(scope: dict[str, Any], sessions: Sessions) -> bool:
    name = cookie_name(scope)
    given = [value for key, value in _cookies(scope) if key == name]
    return any(sessions.has(value) for value in given[:_COOKIES_MAX])


def _cookies(scope: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = [pair for line in headers(scope, b"cookie") for pair in line.split(";")]
    split = (pair.partition("=") for pair in pairs)
    return [(name.strip(), value.strip()) for name, _, value in split]


def _without_cookie(scope: dict[str, Any]) -> dict[str, Any]:
    """The request without the cookie of the session: no page can show it."""
    name = cookie_name(scope)
    kept = "; ".join(f"{key}={value}" for key, value in _cookies(scope) if key != name)
    rest = [(key, value) for key, value in scope["headers"] if key.lower() != b"cookie"]
    more = [(b"cookie", kept.encode("latin-1"))] if kept else []
    return {**scope, "headers": [*rest, *more]}


_EXCHANGE = (files("orc.cli.browse") / "exchange.js").read_text("utf-8")
_NEW_LINK = (
    "For a new link, press Enter in the terminal where `orc browse` runs, or start it again."
)
_NO_SESSION = Notice(
    403,
    "This browser is not known",
    ["The pages open with a one-time link of `orc browse`.", _NEW_LINK],
    form=(OPEN_PATH, PARAMETER),
)
_OPENED = Notice(200, "Opened", ["The pages are open."], [("/", "Jobs")], leads_to="/")
_USED = Notice(
    403,
    "This link was used",
    ["A link works once. If this browser used it, reload the page.", _NEW_LINK],
)
_OTHER_USER = Notice(
    403,
    "Another user's pages",
    ["Another user of this machine started `orc browse`. Start it as the user of this browser."],
)
