"""Whose content in the format of an API goes back to a named server: only its own."""

from __future__ import annotations

from msgspec.structs import replace

from orc.providers.contract import Message, Native, Request


def with_own_native(request: Request, *, api: str, server: str | None) -> Request:
    """The request with the `native` contents of this server under the name of its API.

    Those of other servers with the same API are left out: they may be signed, or unknown here.
    """
    if server is None or not any("native" in message for message in request.messages):
        return request
    messages = tuple(_of(message, api, server) for message in request.messages)
    return replace(request, messages=messages)


def _of(message: Message, api: str, server: str) -> Message:
    native = message.get("native")
    if native is None:
        return message
    kept = message.copy()
    if native["provider"] == server:
        kept["native"] = Native(provider=api, content=native["content"])
    else:
        del kept["native"]
    return kept
