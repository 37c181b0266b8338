"""The gate of `orc browse`: each request needs a session, and a one-time link begins one.

Any user of the machine can connect to a port of 127.0.0.1, and any site can make a browser do so.
What is refused here reaches neither Datasette nor the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from orc.cli.browse.sessions import Sessions
from orc.projections.pages.notice import Notice, notice_of, send_notice
from orc.projections.pages.requests import (
    LOOPBACK_NAMES,
    Asgi,
    address_of,
    foreign_host,
    foreign_site,
    headers,
    host_of,
)

PARAMETER = "orc_token"
"""The name of the token in the query of a link."""

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
        elif token := _token_of(scope):
            await _open_link(scope, send, sessions, token, is_own_user)
        elif refusal := foreign_site(scope):
            await send_notice(scope, send, notice_of(refusal))
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


async def _open_link(
    scope: dict[str, Any], send: Any, sessions: Sessions, token: str, is_own_user: IsOwnUser
) -> None:
    """Answer a link with a token: with a cookie, or with a page that says how to get a new link.

    A page that leads on, and not a redirect: a link may be opened from another program's page, and
    a browser sends no `SameSite=Strict` cookie after a redirect that began there.
    """
    address = address_of(scope, _query_without_token(scope))
    opens = Notice(200, "Opening", [], [(address, "Open the page")], leads_to=address)
    if not is_own_user(scope):
        await send_notice(scope, send, _OTHER_USER)
    elif _has_session(scope, sessions):
        # The link is not needed, so a page of another site must not lead further with any text as one.
        refusal = foreign_site(scope)
        await send_notice(scope, send, opens if refusal is None else notice_of(refusal))
    elif scope["method"] == "GET" and (cookie := sessions.open(token)) is not None:
        value = f"{cookie_name(scope)}={cookie}; Path=/; HttpOnly; SameSite=Strict"
        await send_notice(scope, send, opens, [(b"set-cookie", value.encode())])
    else:
        texts = ["A link works once. If this browser used it, go on to the page.", _NEW_LINK]
        used = Notice(403, "This link was used", texts, [(address, "Go on to the page")])
        await send_notice(scope, send, used)


def _token_of(scope: dict[str, Any]) -> str:
    return dict(_query(scope)).get(PARAMETER, "")


def _query_without_token(scope: dict[str, Any]) -> str:
    return urlencode([pair for pair in _query(scope) if pair[0] != PARAMETER])


def _query(scope: dict[str, Any]) -> list[tuple[str, str]]:
    query = str(scope.get("query_string", b""), "latin-1")
    return parse_qsl(query, keep_blank_values=True)


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


_NEW_LINK = (
    "For a new link, press Enter in the terminal where `orc browse` runs, or start it again."
)
_NO_SESSION = Notice(
    403,
    "This browser is not known",
    ["The pages open with a one-time link of `orc browse`.", _NEW_LINK],
)
_OTHER_USER = Notice(
    403,
    "Another user's pages",
    ["Another user of this machine started `orc browse`. Start it as the user of this browser."],
)
