"""Checks the keys of prompts: messages, tools and the output format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from orc.ledger.wording import key_path
from orc.scheduler.core.errors import Problem
from orc.scheduler.core.language.templates import texts_in
from orc.scheduler.core.paths import program_problem, written_problem
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.source.yaml_source import Document
from orc.scheduler.core.spec.model import StepSpec
from orc.scheduler.core.spec.prompt import (
    MessageSpec,
    OutputSpec,
    ToolSpec,
    tool_name,
)
from orc.scheduler.core.spec.schema_sense import impossible_part
from orc.scheduler.core.vector_files import vector_file_problem

FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z", re.ASCII)
_TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z", re.ASCII)


def check_prompt(path: Path, step: StepSpec, document: Document) -> Iterator[Problem]:
    """Problems of a step's `messages`, `tools` and `output`."""
    where = dotted(path)
    asks = step.prompt is not None or step.messages is not None
    if step.prompt is not None and not step.prompt.strip() and _is_here(path, document):
        yield Problem(f"{where}.prompt: is empty", *document.place((*path, "prompt")))
    if step.output is not None:
        yield from _check_output(where, step.output, path, document)
        if step.output.repair and not asks:
            place = document.place((*path, "output", "repair"))
            yield Problem(f"{where}.output.repair: is allowed for prompts only", *place)
    if "max_turns" in step.model_fields_set and not step.tools:
        place = document.place((*path, "max_turns"), key=True)
        yield Problem(f"{where}.max_turns: is allowed with `tools` only", *place)
    if step.workspace is not None and asks and not step.tools:
        place = document.place((*path, "workspace"), key=True)
        yield Problem(
            f"{where}.workspace: a prompt without `tools` uses no folder; remove it", *place
        )
    for turn, message in enumerate(step.messages or ()):
        yield from _check_parts(message, (*path, "messages", turn, "content"), document)
    if step.embed is not None:
        yield from _check_embed(path, step, document)
    names: dict[str, int] = {}
    for index, tool in enumerate(step.tools):
        place = document.place((*path, "tools", index))
        for reason in _tool_problems(tool):
            yield Problem(f"{where}.tools[{index}]: {reason}", *place)
        name = tool_name(tool)
        if name and names.setdefault(name, index) != index:
            yield Problem(
                f"{where}.tools[{index}]: tools[{names[name]}] has the name {name!r} too; give "
                "one of them another `name`",
                *place,
            )


def _is_here(path: Path, document: Document) -> bool:
    """Whether the prompt is in the spec, and not in a file of its own, which may not be read now."""
    return (*path, "prompt") not in document.files


def schema_problem(schema: Mapping[str, Any]) -> str:
    """Why this is not a usable JSON Schema; empty if it is."""
    # Imported here, since few specs have a schema, and the package loads all meta-schemas.
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = key_path(error.absolute_path)
        return f"is not a valid JSON Schema: {f'{where}: ' if where else ''}{error.message[:200]}"
    for reference in _references(schema):
        if not reference.startswith("#"):
            return f"refers to {reference[:80]!r}; only references within the schema (#...) work"
        if not _is_there(reference, schema):
            return f"refers to {reference[:80]!r}, which is not in the schema"
    impossible = impossible_part(schema)
    return f"no value can meet it: {impossible}" if impossible else ""


def _is_there(reference: str, schema: Mapping[str, Any]) -> bool:
    """Whether the schema has the target of the reference: a JSON pointer (RFC 6901) or an anchor."""
    if reference in ("#", "#/"):
        return True
    if not reference.startswith("#/"):
        return f"'{reference[1:]}'" in str(schema)
    found: Any = schema
    for part in unquote(reference[2:]).split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        else:
            return False
    return True


def _check_parts(message: MessageSpec, path: Path, document: Document) -> Iterator[Problem]:
    if isinstance(message.content, str):
        return
    for place, part in enumerate(message.content):
        if sum(each is not None for each in (part.text, part.image, part.file)) != 1:
            where = (*path, place)
            yield Problem(
                f"{dotted(where)}: a part must have one of `text`, `image` and `file`",
                *document.place(where),
            )


def _check_embed(path: Path, step: StepSpec, document: Document) -> Iterator[Problem]:
    where = dotted(path)
    written = [file.path for file in step.files if file.path and file.content is None]
    if not written:
        yield Problem(
            f"{where}: the vectors would not be written to a file; add `files: [{{path: "
            f"{path[-1]}.npy}}]`",
            *document.place(path, key=True),
        )
    for index, file in enumerate(step.files):
        if file.path and file.content is None and not file.path.rstrip().endswith("}}"):
            reason = vector_file_problem(file.path)
            if reason:
                place = document.place((*path, "files", index))
                yield Problem(f"{where}.files[{index}]: {reason}", *place)


def _check_output(
    where: str, output: OutputSpec, path: Path, document: Document
) -> Iterator[Problem]:
    if isinstance(output.json_schema, dict) and not texts_in(output.json_schema):
        reason = schema_problem(output.json_schema)
        if reason:
            place = document.place((*path, "output", "schema"))
            yield Problem(f"{where}.output.schema: {reason}", *place)
    for key in ("schema", "repair"):
        given = (*path, "output", key)
        if output.format != "json" and document.has(given):
            yield Problem(
                f"{where}.output.{key}: is allowed with `format: json` only",
                *document.place(given, key=True),
            )


def _tool_problems(tool: ToolSpec) -> Iterator[str]:
    if [tool.builtin, tool.python, tool.mcp].count(None) != 2:
        yield "must have either `builtin`, `python` or `mcp`"
        return
    if tool.python is not None and not FUNCTION.match(tool.python):
        yield f"must be package.module:function; got {tool.python!r}"
    name = tool_name(tool)
    is_server = tool.mcp is not None
    if not _TOOL_NAME.match(name) and (name or not is_server):
        yield (
            f"{name!r} is not a valid tool name: use at most 64 letters, digits, - and _, "
            "starting with a letter or _"
        )
    if tool.builtin is not None and tool.name is not None:
        yield "`name` is allowed with `python` or `mcp` only"
    for key in ("description", "parameters"):
        if tool.python is None and getattr(tool, key) is not None:
            yield f"`{key}` is allowed with `python` only"
    if tool.allow is not None and tool.builtin != "run_command" and not is_server:
        yield "`allow` is allowed with `builtin: run_command` or `mcp` only"
    if isinstance(tool.mcp, str) and "://" in tool.mcp:
        yield "mcp: a server at an address is not supported, only one with stdin and stdout"
    elif isinstance(tool.mcp, str) and written_problem(tool.mcp.removeprefix("./")):
        yield (
            f"mcp: {tool.mcp!r} is not the path of a file beside the spec or below; a command is "
            "written as a list of arguments"
        )
    elif tool.mcp and not isinstance(tool.mcp, str) and (reason := program_problem(tool.mcp[0])):
        yield f"mcp: {reason}"
    if (
        tool.python is not None
        and isinstance(tool.parameters, dict)
        and not texts_in(tool.parameters)
    ):
        reason = parameters_problem(tool.parameters)
        if reason:
            yield f"parameters: {reason}"


def parameters_problem(schema: Mapping[str, Any]) -> str:
    """Why this is not a usable JSON Schema of a tool's arguments; empty if it is."""
    reason = schema_problem(schema)
    is_object = schema.get("type") == "object"
    return reason or ("" if is_object else "must be a JSON Schema with `type: object`")


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key in ("$ref", "$dynamicRef") and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)
