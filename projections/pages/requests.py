"""Which HTTP requests are answered, judged by their headers alone, before anything else is done.

A page of any other site can make a browser send requests here. It cannot choose the headers that
are read here: the browser sets them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

Asgi = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
"""An application of the ASGI protocol: scope, receive, send."""

LOOPBACK_NAMES = frozenset(("127.0.0.1", "localhost", "[::1]"))

_OWN_SITES = frozenset(("same-origin", "none"))
"""The values of `Sec-Fetch-Site` for our own pages, and for an address that a person opened."""


class Refusal(Struct, frozen=True):
    """Why a request is not answered. `go_on` is an address that the person may open instead."""

    status: int
    title: str
    message: str
    go_on: str = ""


def foreign_host(scope: dict[str, Any], is_known: Callable[[str], bool]) -> Refusal | None:
    """A refusal if the request does not name exactly one host, or one that is not known.

    This prevents DNS rebinding: a site can make its own name resolve to this machine, and its
    pages could then read the responses. The port is not compared, since a tunnel may use another
    one, and a rebound name is refused with every port.
    """
    name, _ = host_of(scope)
    if name and is_known(name):
        return None
    return Refusal(421, "Unknown host name", "This server does not answer for this host name.")


def foreign_site(
    scope: dict[str, Any], *, is_known: Callable[[str], bool] = lambda name: False
) -> Refusal | None:
    """A refusal if a page of another site or of another port caused the request.

    A person who follows a link from another site gets a page with a link that goes on.
    `is_known` names further hosts whose pages may send forms: those in front of a proxy.
    """
    sites, origins = headers(scope, b"sec-fetch-site"), headers(scope, b"origin")
    own = not sites or (len(sites) == 1 and sites[0] in _OWN_SITES)
    if own and all(_is_own_origin(scope, origin, is_known) for origin in origins):
        return None
    message = "Another site asked for this address. The server answers only its own pages."
    if own or origins or not _is_navigation(scope):
        return Refusal(403, "Request of another site", message)
    return Refusal(
        403,
        "A link of another site",
        "A page of another site led here. Go on only if you wanted to open this address.",
        go_on=address_of(scope),
    )


def headers(scope: dict[str, Any], name: bytes) -> list[str]:
    """The values of a header, in order."""
    return [value.decode("latin-1") for given, value in scope["headers"] if given.lower() == name]


def host_of(scope: dict[str, Any]) -> tuple[str, str]:
    """The name in `Host` in lower case, and its port; two empty texts if there is not one `Host`."""
    hosts = headers(scope, b"host")
    if len(hosts) != 1:
        return "", ""
    name, _, port = hosts[0].lower().rpartition(":")
    return (name, port) if name and port.isdecimal() and port.isascii() else (hosts[0].lower(), "")


def address_of(scope: dict[str, Any], query: str | None = None) -> str:
    """The path and the query of the request, as an address on this server."""
    raw = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("latin-1")
    if query is None:
        query = scope.get("query_string", b"").decode("latin-1")
    # Two slashes would begin the name of another server.
    path = "/" + raw.lstrip("/\\")
    return f"{path}?{query}" if query else path


def wants_html(scope: dict[str, Any]) -> bool:
    """Whether a browser wants to show the response as a page."""
    return any("text/html" in accept for accept in headers(scope, b"accept"))


def _is_navigation(scope: dict[str, Any]) -> bool:
    return (
        scope["method"] == "GET"
        and headers(scope, b"sec-fetch-mode") == ["navigate"]
        and headers(scope, b"sec-fetch-dest") == ["document"]
    )


def _is_own_origin(scope: dict[str, Any], origin: str, is_known: Callable[[str], bool]) -> bool:
    try:
        parts = urlsplit(origin.lower())
        name = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False
    hosts = headers(scope, b"host")
    return [parts.netloc] == [host.lower() for host in hosts] or is_known(name)
