"""A server of tools that speaks the Model Context Protocol (MCP) over its stdin and stdout.

The package `mcp` speaks the protocol; it loads when the first server starts. This module starts the
server in a process group of its own, which the reaper knows, and keeps it in bounds: the time of its
start, the length and the number of what it sends, and what of it reaches a model. Nothing that a
server says is trusted.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio
from msgspec import Struct

from orc.about import version
from orc.ledger.digest import canonical_json, clean_text
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import count_text, duration_text, size_text
from orc.providers import Tool
from orc.scheduler.effects.contract import KnownResult, ToolProblem
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.log import MaskedLog
from orc.scheduler.effects.mcp_messages import MessageReader, as_value
from orc.scheduler.effects.pipes import Reading

START_S = 60.0
"""How long a server may take to start and to list its tools."""
TOOLS_MAX = 100
"""The maximum number of tools that a server offers to a model."""
PAGES_MAX = 20
DESCRIPTION_CHARS_MAX = 4000
SCHEMA_CHARS_MAX = 64 * 1024
_STOP_S = 1.0
"""How long a server may take to end by itself after its stdin was closed."""
_CHUNK = 64 * 1024
_WORDS_MAX = 300
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class Launch(Struct, frozen=True):
    """How a server is started: as an argument list, in the working folder of the attempt.

    `shown` names the server in messages. Its stderr goes to the log.
    """

    shown: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    log_path: Path
    log_bytes: int


class McpServer:
    """A server from its start to its end, which is the end of the nursery that it was started in."""

    def __init__(
        self,
        launch: Launch,
        *,
        prefix: str,
        allow: Sequence[str],
        groups: ProcessGroups,
        mask: Mask,
    ) -> None:
        self._launch = launch
        self._prefix = prefix
        self._allow = allow
        self._groups = groups
        self._mask = mask
        self._session: Any = None
        self._broken = ""
        self._own_names: dict[str, str] = {}

    async def start(self, nursery: trio.Nursery) -> tuple[Tool, ...]:
        """Start the server; the tools that it offers, under the names that models know.

        Raises ToolProblem.
        """
        listed: list[Any] = []
        with trio.move_on_after(START_S) as limit:
            listed = await nursery.start(self._run)
        if limit.cancelled_caught:
            raise self._problem(
                f"did not list its tools within {duration_text(START_S)}; see the step's log"
            )
        return self._offered(listed)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> KnownResult:
        """Call a tool by the name that the model knows. A failure of the server is an error result."""
        import mcp_types
        from mcp.shared.exceptions import MCPError

        if not self._broken:
            request = mcp_types.CallToolRequest(
                params=mcp_types.CallToolRequestParams(
                    name=self._own_names[name], arguments=dict(arguments)
                )
            )
            try:
                found = await self._session.send_request(request, mcp_types.CallToolResult)
                return KnownResult(as_value(found), is_error=bool(found.is_error))
            except MCPError as error:
                # The end of the server is one of these errors, and known by then.
                await trio.lowlevel.checkpoint()
                if not self._broken:
                    return KnownResult(f"the tool failed: {_words(str(error))}", is_error=True)
            except Exception as error:
                if not self._broken:
                    what = "its reply does not follow the protocol"
                    return KnownResult(f"{what}: {_words(str(error))}", is_error=True)
        return KnownResult(f"the MCP server {self._launch.shown} {self._broken}", is_error=True)

    async def _run(self, task_status: trio.TaskStatus[list[Any]]) -> None:
        """The life of the server. Raises ToolProblem if it ends before it has listed its tools."""
        has_started = False

        def started(tools: list[Any]) -> None:
            nonlocal has_started
            has_started = True
            task_status.started(tools)

        try:
            await self._serve(started)
        except Exception as error:
            self._break(f"could not be started: {_words(str(_first(error)))}")
        else:
            self._break("ended")
        if not has_started:
            raise self._problem(f"{self._broken}; see the step's log")

    async def _serve(self, started: Any) -> None:
        launch = self._launch
        read_end, write_end = os.pipe()
        try:
            process = await self._groups.spawn(
                launch.argv,
                cwd=launch.cwd,
                env=launch.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(read_end,),
                stdin=Path(f"/dev/fd/{read_end}"),
            )
        except BaseException:
            os.close(write_end)
            raise
        finally:
            os.close(read_end)
        stdin = trio.lowlevel.FdStream(write_end)
        output, errors = process.pipes()
        os.set_blocking(output, False)
        log = MaskedLog(launch.log_path, self._mask, limit=launch.log_bytes)
        try:
            scope = trio.CancelScope()
            with Reading((errors,), log.write, on_stop=scope.cancel), scope:
                await self._run_session(output, stdin, log, started)
        except Exception as error:
            self._break(f"could not be used: {_words(str(_first(error)))}")
            raise
        finally:
            with trio.CancelScope(shield=True):
                await stdin.aclose()
                with trio.move_on_after(_STOP_S):
                    await process.wait()
                await self._groups.end(process)
            code = process.returncode
            self._break(f"ended (exit status {code})")
            process.close()
            log.close()

    async def _run_session(self, output: int, stdin: Any, log: MaskedLog, started: Any) -> None:
        import anyio
        import mcp_types
        from mcp.client.session import ClientSession
        from mcp.shared.message import SessionMessage

        _quieten()
        to_session, inbox = anyio.create_memory_object_stream[Any](0)
        outbox, from_session = anyio.create_memory_object_stream[Any](0)
        reader = MessageReader(log.write, self._mask)

        async def read() -> None:
            async with to_session:
                while chunk := await _receive(output):
                    try:
                        documents = reader.feed(chunk)
                    except ValueError as error:
                        self._break(str(error))
                        return
                    for document in documents:
                        message = mcp_types.jsonrpc_message_adapter.validate_python(
                            document, by_name=False
                        )
                        await to_session.send(SessionMessage(message))
                # It is not told apart whether the server ended or only closed its stdout.
                self._break("ended, or closed its stdout")

        async def write() -> None:
            async with from_session:
                async for sent in from_session:
                    text = sent.message.model_dump_json(by_alias=True, exclude_unset=True)
                    with suppress(OSError, trio.BrokenResourceError):
                        await stdin.send_all(text.encode() + b"\n")

        async with trio.open_nursery() as pumps:
            pumps.start_soon(read)
            pumps.start_soon(write)
            who = mcp_types.Implementation(name="orc", version=version())
            async with ClientSession(inbox, outbox, client_info=who) as session:
                await session.initialize()
                listed = await _list_tools(session)
                reader.is_strict = True
                self._session = session
                started(listed)
                await trio.sleep_forever()

    def _offered(self, listed: list[Any]) -> tuple[Tool, ...]:
        """The tools that the spec allows, checked. Raises ToolProblem."""
        by_name: dict[str, Any] = {}
        for tool in listed:
            if by_name.setdefault(tool.name, tool) is not tool:
                raise self._problem(f"lists the tool {_words(tool.name)!a} twice")
        missing = [name for name in self._allow if name not in by_name]
        if missing:
            known = ", ".join(repr(_words(name))[:80] for name in sorted(by_name)[:20])
            raise self._problem(
                f"has no tool {missing[0]!a}, which `allow` names; it has {known or 'none'}"
            )
        wanted = self._allow or by_name
        if len(wanted) > TOOLS_MAX:
            raise self._problem(
                f"has {count_text(len(wanted), 'tool')}, more than {TOOLS_MAX}; name those that the "
                "model needs in `allow`"
            )
        return tuple(self._offer(by_name[name]) for name in wanted)

    def _offer(self, tool: Any) -> Tool:
        name = f"{self._prefix}_{tool.name}" if self._prefix else tool.name
        if not _NAME.fullmatch(name):
            raise self._problem(
                f"has a tool with the name {_words(tool.name)!a}, which models cannot be offered; name "
                "the others in `allow`"
            )
        schema = tool.input_schema
        if schema.get("type", "object") != "object" or len(_json(schema)) > SCHEMA_CHARS_MAX:
            raise self._problem(
                f"describes the arguments of its tool {tool.name!a} by no JSON Schema of an object of "
                f"at most {size_text(SCHEMA_CHARS_MAX)}; leave it out of `allow`"
            )
        self._own_names[name] = tool.name
        description = self._mask.text(clean_text(tool.description or tool.title or ""))
        return {
            "name": name,
            "description": description[:DESCRIPTION_CHARS_MAX],
            "parameters": self._mask.value({**schema, "type": "object"}),
        }

    def _break(self, why: str) -> None:
        """Remember why the server cannot be used any more; the first reason counts."""
        self._broken = self._broken or why

    def _problem(self, what: str) -> ToolProblem:
        return ToolProblem(f"the MCP server {self._launch.shown} {what}")


async def _list_tools(session: Any) -> list[Any]:
    import mcp_types

    found: list[Any] = []
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        params = None if cursor is None else mcp_types.PaginatedRequestParams(cursor=cursor)
        request = mcp_types.ListToolsRequest(params=params)
        page = await session.send_request(request, mcp_types.ListToolsResult)
        found += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


async def _receive(fd: int) -> bytes:
    while True:
        await trio.lowlevel.wait_readable(fd)
        with suppress(BlockingIOError):
            return os.read(fd, _CHUNK)


def _quieten() -> None:
    """Keep the package's warnings, which quote the server, off the terminal."""
    for name in ("mcp", "client"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _words(text: str) -> str:
    """Words of the server for a message: in one line, without control characters."""
    shown = "".join(each if each.isprintable() else " " for each in clean_text(text[:_WORDS_MAX]))
    return " ".join(shown.split())


def _json(value: Any) -> str:
    with suppress(TypeError, ValueError, RecursionError):
        return canonical_json(value)
    return " " * (SCHEMA_CHARS_MAX + 1)
