"""The toolbox of one attempt: built-in tools, the spec's Python functions, and those of MCP servers.

Arguments are checked against the tool's schema before the call. A mistake of the model (a name,
an argument, a path) becomes an error result for the model; that the machine has run out of
something is no mistake of the model, and ends the attempt.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio
from msgspec.structs import replace

from orc.ledger.definition import ToolDef
from orc.ledger.digest import canonical_json, clean_json
from orc.ledger.files.folder import Folder
from orc.ledger.scarcity import find_shortage
from orc.ledger.secrets.masking import Mask
from orc.providers import Tool
from orc.scheduler.effects.contract import (
    FunctionRequest,
    FunctionUse,
    KnownResult,
    Result,
    Toolbox,
    ToolProblem,
)
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.mcp_server import Launch, McpServer
from orc.scheduler.effects.python import WorkerPool
from orc.scheduler.effects.schemas import find_misfits
from orc.scheduler.effects.tool_command import describe_command, run_tool_command
from orc.scheduler.effects.tool_context import ToolContext
from orc.scheduler.effects.tool_files import DESCRIPTIONS, ToolFiles, ToolMistake
from orc.scheduler.effects.waiting import retry_while_scarce

RESULT_CHARS_MAX = 256 * 1024


def open_toolbox(
    tools: tuple[ToolDef, ...],
    context: ToolContext,
    *,
    workers: WorkerPool,
    groups: ProcessGroups,
    mask: Mask,
    nursery: trio.Nursery | None = None,
) -> Toolbox:
    """A toolbox with these tools. It reads and starts nothing before its `open`.

    MCP servers end with the nursery. Secrets in results are masked.
    """
    return _Toolbox(tools, context, workers, groups, mask, nursery)


class _Toolbox:
    def __init__(
        self,
        tools: tuple[ToolDef, ...],
        context: ToolContext,
        workers: WorkerPool,
        groups: ProcessGroups,
        mask: Mask,
        nursery: trio.Nursery | None,
    ) -> None:
        self._tools = {tool.name: tool for tool in tools if tool.mcp is None}
        self._servers = tuple(tool for tool in tools if tool.mcp is not None)
        self._server_of: dict[str, McpServer] = {}
        self._nursery = nursery
        self._shown: dict[str, Tool] = {}
        self._context = context
        self._workers = workers
        self._groups = groups
        self._mask = mask
        self._has_folder = False
        has_commands = "run_command" in self._tools
        self._files = ToolFiles(
            committed=context.files,
            taken=context.taken,
            read_blob=context.read,
            disk=Folder(context.cwd) if has_commands else None,
            mask=mask,
        )

    async def open(self) -> tuple[Tool, ...]:
        """See `Toolbox.open`."""
        if self._servers or any(tool.function for tool in self._tools.values()):
            await self._open_folder()
        for name, tool in self._tools.items():
            self._shown[name] = await self._describe(tool)
        for tool in self._servers:
            await self._start(tool)
        return tuple(self._shown.values())

    async def call(self, name: str, arguments: Mapping[str, Any] | str) -> KnownResult:
        """See `Toolbox.call`."""
        try:
            checked = self._check(name, arguments)
            server = self._server_of.get(name)
            if server is None:
                known = await self._call(self._tools[name], checked)
            else:
                known = await server.call(name, checked)
            return _bounded(replace(known, result=self._mask.value(known.result)))
        except ToolMistake as mistake:
            return KnownResult(self._mask.text(str(mistake)), is_error=True)
        except (OSError, RuntimeError, MemoryError) as error:
            shortage = find_shortage(error)
            if shortage is None:
                raise
            raise ToolProblem(f"the tool {name!r} could not be used: {shortage}") from error

    def recall(self, name: str, arguments: Mapping[str, Any] | str, known: KnownResult) -> None:
        """See `Toolbox.recall`."""
        if name == "write_file" and isinstance(arguments, Mapping) and not known.is_error:
            self._files.keep(arguments)

    def written(self) -> Mapping[str, bytes]:
        """See `Toolbox.written`."""
        return self._files.written

    def _check(self, name: str, arguments: Mapping[str, Any] | str) -> Mapping[str, Any]:
        if name not in self._shown:
            raise ToolMistake(f"there is no tool {name!a}; the tools are: {', '.join(self._shown)}")
        if isinstance(arguments, str):
            raise ToolMistake(
                "the arguments are not a JSON object; call the tool again with a JSON object"
            )
        if name in self._server_of:
            # The server checks them by its schema, which could make any check here take for ever.
            return arguments
        misfits = find_misfits(arguments, self._shown[name]["parameters"])
        if misfits:
            raise ToolMistake(f"the arguments do not fit the tool's schema: {'; '.join(misfits)}")
        return arguments

    async def _call(self, tool: ToolDef, arguments: Mapping[str, Any]) -> KnownResult:
        if tool.function is not None:
            result = await self._ask_worker(tool.function, arguments, use="tool")
            if result.failed is None:
                return KnownResult(result.value, is_error=False)
            if result.failed.kind == "environment":
                raise ToolProblem(
                    f"the tool {tool.name!r} could not be used: {result.failed.message}"
                )
            return KnownResult(result.failed.message, is_error=True)
        if tool.name != "run_command":

            async def use_files() -> KnownResult:
                return self._files.call(tool.name, arguments)

            return await retry_while_scarce(use_files)
        await self._open_folder()
        return await run_tool_command(
            arguments["argv"],
            allow=tool.allow,
            env=self._context.env,
            cwd=self._context.cwd,
            log_path=self._context.log_path,
            log_bytes=self._context.limits.log_bytes,
            groups=self._groups,
            mask=self._mask,
        )

    async def _start(self, tool: ToolDef) -> None:
        """Start an MCP server and offer its tools. Raises ToolProblem."""
        context = self._context
        assert tool.mcp is not None
        assert self._nursery is not None
        argv = _argv(tool.mcp, Path(context.import_dir))
        if isinstance(tool.mcp, str) and not Path(argv[-1]).is_file():
            raise ToolProblem(f"there is no file {tool.mcp} beside the spec, a server of tools")
        server = McpServer(
            Launch(
                shown=_shown_server(tool),
                argv=argv,
                env=context.env,
                cwd=context.cwd,
                log_path=context.log_path,
                log_bytes=context.limits.log_bytes,
            ),
            prefix=tool.name,
            allow=tool.allow,
            groups=self._groups,
            mask=self._mask,
        )
        for found in await server.start(self._nursery):
            name = found["name"]
            if name in self._shown:
                raise ToolProblem(
                    f"the MCP server {_shown_server(tool)} offers the tool {name!r}, and so does "
                    "another tool of the step; give the server a `name`, which goes before the names "
                    "of its tools"
                )
            self._shown[name] = found
            self._server_of[name] = server

    async def _describe(self, tool: ToolDef) -> Tool:
        if tool.function is None:
            if tool.name == "run_command":
                return describe_command(tool.allow)
            return DESCRIPTIONS[tool.name]
        description, parameters = tool.description, tool.parameters
        if description is None or parameters is None:
            result = await self._ask_worker(tool.function, {}, use="describe")
            if result.failed is not None:
                raise ToolProblem(
                    f"the tool {tool.name!r} cannot be offered: {result.failed.message}"
                )
            description = description or result.value["description"]
            parameters = parameters or result.value["parameters"]
        return {"name": tool.name, "description": description, "parameters": parameters}

    async def _ask_worker(
        self, function: str, arguments: Mapping[str, Any], *, use: FunctionUse
    ) -> Result:
        return await self._workers.call(
            FunctionRequest(
                function=function,
                args=arguments,
                env=self._context.env,
                cwd=str(self._context.cwd),
                log_path=str(self._context.log_path),
                import_dir=self._context.import_dir,
                use=use,
                secrets=self._context.secrets,
                limits=self._context.limits,
            )
        )

    async def _open_folder(self) -> None:
        """Create the working folder if it is not there yet, and write the model's files there."""
        disk = Folder(self._context.cwd)
        try:
            if not self._has_folder:
                await self._context.open_folder()
                self._has_folder = True
            for path, content in self._files.written.items():
                disk.write(path, content)
        except OSError as error:
            raise ToolProblem(
                "the files of the steps before could not be placed in the working folder: "
                f"{find_shortage(error) or error}"
            ) from error


def _argv(mcp: str | tuple[str, ...], folder: Path) -> list[str]:
    """The command of a server: a file beside the spec, or words, of which `./WORD` is such a file."""
    if isinstance(mcp, tuple):
        return [str(folder / word) if word.startswith("./") else word for word in mcp]
    path = str(folder / mcp)
    return [sys.executable, path] if mcp.endswith(".py") else [path]


def _shown_server(tool: ToolDef) -> str:
    return tool.name or (tool.mcp if isinstance(tool.mcp, str) else " ".join(tool.mcp or ())[:80])


def _bounded(known: KnownResult) -> KnownResult:
    """The result as JSON; a long one is cut to RESULT_CHARS_MAX characters."""
    try:
        value = clean_json(known.result)
        text = value if isinstance(value, str) else canonical_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolMistake(f"the tool's result is not JSON: {error}") from None
    if len(text) <= RESULT_CHARS_MAX:
        return KnownResult(value, known.is_error)
    cut = {"cut_at_chars": RESULT_CHARS_MAX, "text": text[:RESULT_CHARS_MAX]}
    return KnownResult(cut, known.is_error)
