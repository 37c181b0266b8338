"""A request as Anthropic's Messages API takes it, by platform.claude.com/docs/en/api/messages.

Nothing is left out silently: what the API has no place for is refused. What comes
back is read in `orc.providers.anthropic_reply`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Any

from orc.providers.anthropic_schema import fit_schema
from orc.providers.contract import Message, Request, Tool, ToolCall
from orc.providers.errors import PermanentError
from orc.providers.http import safe_text
from orc.providers.instructions import instruct

MAX_TOKENS_DEFAULT = 8192
"""The longest reply where nobody says: the API sets no limit of its own, and asks for one."""

PARAMS = frozenset({"max_tokens", "stop", "reasoning_effort"})
ANSWER_TOOL = "answer"

# The API's own headers; a person who needs another version, or a beta, says so here.
_HEADERS = frozenset({"anthropic-version", "anthropic-beta"})
_HEADER_VALUE = re.compile("[!-~]([ -~]*[!-~])?")
_ASKED = frozenset({"model", "messages", "stream", "system", "tools", "max_tokens"})
# The API's own proposal for a call whose input was no JSON object
# (platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming).
_BROKEN_INPUT = "INVALID_JSON"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is posted; with `by_tool`, the answer is the input of a call of ANSWER_TOOL."""

    body: dict[str, Any]
    headers: dict[str, str]
    by_tool: bool


def build_asked(request: Request) -> Asked:
    """The body and the headers; raises PermanentError for what cannot be asked of Anthropic."""
    _check_params(request.params)
    # One further down stays in its place: the API has the role, for models that know it.
    leading = [*takewhile(lambda message: message["role"] == "system", request.messages)]
    system = "\n\n".join(filter(None, (request.system, *map(_join_text, leading))))
    fitted = None if request.output_schema is None else fit_schema(request.output_schema)
    by_tool = fitted is None and _can_force_tool(request)
    if fitted is None and not by_tool:
        system = instruct(system, request) or ""
    body: dict[str, Any] = {"model": request.model, "stream": True}
    if system:
        body["system"] = system
    body["messages"] = _build_messages(request.messages[len(leading) :])
    body |= _build_settings(request.params)
    if request.tools:
        body["tools"] = [_build_tool(tool) for tool in request.tools]
    if fitted is not None:
        form = {"type": "json_schema", "schema": fitted}
        body["output_config"] = {**body.get("output_config", {}), "format": form}
    elif by_tool:
        body |= _build_answer_tool(request)
    headers = _add_options(body, request.options)
    return Asked(body, headers, by_tool)


def build_input(arguments: dict[str, Any] | str) -> dict[str, Any]:
    """The input of a call as the API takes it back: an object, also where the model wrote none."""
    return {_BROKEN_INPUT: arguments} if isinstance(arguments, str) else arguments


def _check_params(params: Mapping[str, Any]) -> None:
    for name in sorted(set(params) - PARAMS):
        raise PermanentError(
            "bad_request",
            f"Anthropic has no parameter {name!r}; it has {', '.join(sorted(PARAMS))}",
        )


def _build_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {"max_tokens": params.get("max_tokens", MAX_TOKENS_DEFAULT)}
    if "stop" in params:
        stop = params["stop"]
        settings["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    effort = params.get("reasoning_effort")
    if effort == "none":
        settings["thinking"] = {"type": "disabled"}
    elif effort is not None:
        settings["output_config"] = {"effort": "low" if effort == "minimal" else effort}
    return settings


def _can_force_tool(request: Request) -> bool:
    """Whether the answer can come as the input of a tool: that takes an object.

    No tool can be forced while the model thinks, nor beside others that it is to call.
    """
    schema = request.output_schema or {}
    is_free = not request.tools and not request.options.keys() & {"thinking", "tool_choice"}
    return is_free and schema.get("type") == "object"


def _build_answer_tool(request: Request) -> dict[str, Any]:
    description = "Gives the answer. Call it once, with all of the answer as its input."
    schema = dict(request.output_schema or {})
    tool = Tool(name=ANSWER_TOOL, description=description, parameters=schema)
    choice = {"type": "tool", "name": ANSWER_TOOL}
    return {"tools": [_build_tool(tool)], "tool_choice": choice}


def _add_options(body: dict[str, Any], options: Mapping[str, Any]) -> dict[str, str]:
    """Adds the options to the body, but for those that are headers, which are given."""
    headers = {}
    for name, value in options.items():
        if name in _HEADERS:
            if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
                raise PermanentError("bad_request", f"the option {name!r} is no value of a header")
            headers[name] = value
        elif name == "output_config" and isinstance(value, dict):
            asked = body.get("output_config", {})
            _refuse_taken(value, asked.keys() | {"format"}, within="output_config.")
            body["output_config"] = {**asked, **value}
        else:
            _refuse_taken((name,), body.keys() | _ASKED)
            body[name] = value
    return headers


def _refuse_taken(names: Iterable[str], taken: set[str], *, within: str = "") -> None:
    for name in names:
        if name in taken:
            shown = safe_text(f"{within}{name}", length_max=80)
            raise PermanentError(
                "bad_request",
                f"{shown!r} is no option for Anthropic: it is set by the request itself",
            )


def _build_tool(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool["name"],
        "description": tool["description"],
        "input_schema": tool["parameters"],
    }


def _build_messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """The turns. Results of tools that were called together go back together, as the API asks."""
    built: list[dict[str, Any]] = []
    for are_results, turns in groupby(messages, lambda message: message["role"] == "tool"):
        if are_results:
            built.append({"role": "user", "content": [*map(_build_result, turns)]})
            continue
        for turn in turns:
            content = _build_content(turn)
            # The API takes no turn without content; a model that said nothing has had none.
            if content or turn["role"] != "assistant":
                built.append({"role": turn["role"], "content": content})
    return built


def _build_content(message: Message) -> str | list[Any]:
    match message.get("native"):
        case {"provider": "anthropic", "content": [*blocks]} if blocks:
            return blocks
    content = _build_parts(message)
    calls = message.get("tool_calls")
    if not calls:
        return content
    texts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    # An empty text block is refused.
    spoken = [block for block in texts if block.get("text") != ""]
    return [*spoken, *map(_build_call, calls)]


def _build_parts(message: Message) -> str | list[dict[str, Any]]:
    content = message.get("content", "")
    return content if isinstance(content, str) else [_build_part(part) for part in content]


def _build_part(part: Any) -> dict[str, Any]:
    match part:
        case {"type": "text", "text": text}:
            return {"type": "text", "text": text}
        case {"type": "image", "media_type": media_type, "data": data}:
            source = {"type": "base64", "media_type": media_type, "data": data}
            return {"type": "image", "source": source}
    kind = safe_text(str(part["type"]), length_max=80)
    raise PermanentError("bad_request", f"Anthropic takes no part of type {kind!r}")


def _join_text(message: Message) -> str:
    content = _build_parts(message)
    if isinstance(content, str):
        return content
    if any(part["type"] != "text" for part in content):
        raise PermanentError("bad_request", "Anthropic takes nothing but text in a system message")
    return "\n".join(part["text"] for part in content)


def _build_call(call: ToolCall) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": call["id"],
        "name": call["name"],
        "input": build_input(call["arguments"]),
    }


def _build_result(message: Message) -> dict[str, Any]:
    result = {
        "type": "tool_result",
        "tool_use_id": message["tool_call_id"],
        "content": _build_parts(message),
    }
    return {**result, "is_error": True} if message.get("is_error") else result
