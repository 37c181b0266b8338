"""Answers lines that are not messages of JSON-RPC: the official package only drops them."""

from __future__ import annotations

from typing import Any

from mcp.shared.message import SessionMessage
from mcp.types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError
from pydantic import ValidationError


class AnsweredLines:
    """What the client sends, without the lines that could not be read: each of them is answered.

    It is used in place of the package's stream `read`; answers go to its stream `write`.
    """

    def __init__(self, read: Any, write: Any) -> None:
        self._read, self._write = read, write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._read, name)

    async def __aenter__(self) -> AnsweredLines:
        return self

    async def __aexit__(self, *about: object) -> None:
        await self._read.aclose()

    def __aiter__(self) -> AnsweredLines:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        async for found in self._read:
            answer = _answer(found) if isinstance(found, Exception) else None
            if answer is not None:
                await self._write.send(SessionMessage(answer))
            else:
                return found  # type: ignore[no-any-return]
        raise StopAsyncIteration


def _answer(problem: Exception) -> JSONRPCError | None:
    """The error for a line that could not be read; None for an empty one. Its id is not known."""
    first = problem.errors()[0] if isinstance(problem, ValidationError) else {"type": ""}
    if first["type"] != "json_invalid":
        said = "this is not a request of JSON-RPC 2.0: send one object a line, and no list of them"
        error = ErrorData(code=INVALID_REQUEST, message=said)
    elif not str(first["input"]).strip():
        return None
    else:
        error = ErrorData(code=PARSE_ERROR, message="this line is not JSON")
    return JSONRPCError(jsonrpc="2.0", id=None, error=error)
