"""Which requests a Datasette with a ledger answers, and how many at a time.

Other sites can make a browser send requests to any server of this machine. They are refused before
any work is done. Set `plugins: {orc: {allowed_hosts: [NAME, ...]}}` in Datasette's metadata for a
server with a name of its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Collection
from contextvars import ContextVar
from typing import Any

from orc.projections.pages.notice import Notice, notice_of, send_notice
from orc.projections.pages.requests import (
    LOOPBACK_NAMES,
    Asgi,
    Refusal,
    foreign_host,
    foreign_site,
    host_of,
)

AT_ONCE = 4
WAITING_MAX = 100
"""The number of requests that may wait while `AT_ONCE` others are answered."""

_is_inside: ContextVar[bool] = ContextVar("is_inside", default=False)
_BUSY = Notice(503, "Too many requests", ["The server answers too many requests now; try again."])


def allowed_hosts(config: Any) -> frozenset[str]:
    """The host names in the plugin's configuration. Raises ValueError if they are no list of names."""
    names = (config or {}).get("allowed_hosts", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("plugins: orc: allowed_hosts must be a list of host names without ports")
    return frozenset(name.lower() for name in names)


def checked(
    app: Asgi, applies: Callable[[], bool], *, hosts: Collection[str], has_cors: bool
) -> Asgi:
    """The app, which answers only requests to known hosts, and none of other sites.

    `has_cors` is that the user has allowed other sites to read (`datasette --cors`).
    While `applies` returns False, requests are not checked.
    """
    turn = _Turn()

    async def guarded(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or not applies():
            await app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif refusal := _refusal_of(scope, hosts, has_cors):
            await send_notice(scope, send, notice_of(refusal))
        else:
            await turn.take(app, scope, receive, send)

    return guarded


def _refusal_of(scope: dict[str, Any], hosts: Collection[str], has_cors: bool) -> Refusal | None:
    def is_known(name: str) -> bool:
        return _is_safe(name) or name in hosts or "*" in hosts

    if foreign_host(scope, is_known):
        name = host_of(scope)[0]
        return Refusal(
            421,
            "Unknown host name",
            f"This server does not answer for the host name {name!r}. To allow it, name it in "
            "Datasette's metadata: plugins: {orc: {allowed_hosts: [...]}}",
        )
    if has_cors and scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return None
    return foreign_site(scope, is_known=lambda name: name in hosts)


def _is_safe(name: str) -> bool:
    """Whether no other site can have this name: those of this machine, and addresses."""
    if name in LOOPBACK_NAMES:
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class _Turn:
    """Lets some requests be worked on at a time. A response that is being sent does not count."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def take(self, app: Asgi, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a request when it is its turn; with status 503 if too many others wait."""
        if _is_inside.get():
            # A page that asks its own server must not wait for itself.
            await app(scope, receive, send)
            return
        if self._waiting >= WAITING_MAX:
            await send_notice(scope, send, _BUSY, [(b"retry-after", b"1")])
            return
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        has_turn = True

        def end() -> None:
            nonlocal has_turn
            if has_turn:
                has_turn = False
                self._free.release()

        async def send_after(message: dict[str, Any]) -> None:
            end()
            await send(message)

        mark = _is_inside.set(True)
        try:
            await app(scope, receive, send_after)
        finally:
            _is_inside.reset(mark)
            end()
