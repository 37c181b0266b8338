"""Builds requests for Anthropic's Messages API (platform.claude.com/docs/en/api/messages).

Nothing is dropped silently: a request that the API cannot express is refused.
`orc.providers.anthropic_reply` reads the replies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import groupby, takewhile
from typing import Any

from msgspec import Struct

from orc.providers.anthropic_schema import fit_schema
from orc.providers.contract import CachedPrefix, Message, Request, Tool, ToolCall
from orc.providers.errors import PermanentError
from orc.providers.http import safe_text
from orc.providers.instructions import instruct, join_texts

MAX_TOKENS_DEFAULT = 8192
"""The default token limit of a reply: the API requires a limit and has no default."""

PARAMS = frozenset({"max_tokens", "stop", "reasoning_effort"})
ANSWER_TOOL = "answer"

# Headers of the API that a spec may set as options, to select a version or a beta.
_HEADERS = frozenset({"anthropic-version", "anthropic-beta"})
_HEADER_VALUE = re.compile("[!-~]([ -~]*[!-~])?")
_ASKED = frozenset({"model", "messages", "stream", "system", "tools", "max_tokens"})
# The key that the API's documentation proposes for an input that was not a JSON object
# (platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming).
_BROKEN_INPUT = "INVALID_JSON"
_MARK = {"type": "ephemeral"}
_UNMARKABLE = frozenset({"thinking", "redacted_thinking"})


class Asked(Struct, frozen=True):
    """The body and headers to post; with `by_tool`, the reply is the input of ANSWER_TOOL."""

    body: dict[str, Any]
    headers: dict[str, str]
    by_tool: bool


def build_asked(request: Request) -> Asked:
    """The body and headers of a request. Raises PermanentError if the API cannot express it."""
    _check_params(request.params)
    # Later system messages stay in place: newer models of the API support this role.
    leading = [*takewhile(lambda message: message["role"] == "system", request.messages)]
    said = (join_texts(message.get("content", ""), _no_text) for message in leading)
    system = "\n\n".join(filter(None, (request.system, *said)))
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
    if request.cached is not None:
        _mark_cached(body, request, request.cached, leading=len(leading))
    return Asked(body, headers, by_tool)


def build_input(arguments: dict[str, Any] | str) -> dict[str, Any]:
    """The input of a tool call to send back: an object, even if the model wrote invalid JSON."""
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
    """Whether the answer can be the input of a forced tool call; its schema must be an object.

    The API cannot force a tool while thinking is on, and the model could not call other tools.
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
                raise PermanentError(
                    "bad_request", f"the option {name!r} must be a text that a header can hold"
                )
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
                f"the option {shown!r} is not allowed for Anthropic: the request itself sets it; "
                "remove it from params",
            )


def _build_tool(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool["name"],
        "description": tool["description"],
        "input_schema": tool["parameters"],
    }


def _build_messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """The messages. The API requires the results of parallel tool calls in one message."""
    built: list[dict[str, Any]] = []
    for are_results, turns in groupby(messages, lambda message: message["role"] == "tool"):
        if are_results:
            built.append({"role": "user", "content": [*map(_build_result, turns)]})
            continue
        for turn in turns:
            content = _build_content(turn)
            # The API refuses messages without content, so an empty reply is left out.
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
    # The API refuses empty text blocks.
    kept = [block for block in texts if block.get("text") != ""]
    return [*kept, *map(_build_call, calls)]


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
        case {"type": "document", "media_type": media_type, "name": name, "text": text}:
            source = {"type": "text", "media_type": media_type, "data": text}
            return {"type": "document", "source": source, "title": name}
        case {"type": "document", "media_type": media_type, "name": name, "data": data}:
            source = {"type": "base64", "media_type": media_type, "data": data}
            return {"type": "document", "source": source, "title": name}
    kind = safe_text(str(part["type"]), length_max=80)
    raise PermanentError(
        "bad_request",
        f"Anthropic does not support a part of type {kind!r}; use another provider for this step",
    )


def _no_text(part: Any) -> PermanentError:
    return PermanentError(
        "bad_request",
        "Anthropic supports only text in a system message; move the rest to a user's message",
    )


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


def _mark_cached(
    body: dict[str, Any], request: Request, cached: CachedPrefix, *, leading: int
) -> None:
    """Mark what the API is to cache for five minutes: what stands before a mark, at most four of them.

    These are the tools, the system text, the beginning of the messages that is the same in each
    request, and with tools the last message, from which the next turn continues. The first `leading`
    messages of the request are its system text. The rules are on
    platform.claude.com/docs/en/build-with-claude/prompt-caching.
    """
    if body.get("tools"):
        body["tools"] = _marked(body["tools"])
    if body.get("system"):
        body["system"] = _marked(_blocks(body["system"]))
    messages = body["messages"]
    whole = max(0, cached.messages - leading)
    # The fixed messages come before any result of a tool, so that none of them were joined. The API
    # left out those that are empty.
    skipped = sum(not _is_sent(message) for message in request.messages[leading : leading + whole])
    whole -= skipped
    if cached.parts and whole < len(messages):
        _mark_message(messages[whole], parts=cached.parts)
    elif whole:
        _mark_message(messages[whole - 1])
    # With a mark of the spec's own on the request, there is no place for a fourth one here.
    if request.tools and len(messages) > whole and "cache_control" not in body:
        _mark_message(messages[-1])


def _is_sent(message: Any) -> bool:
    return message["role"] != "assistant" or bool(
        message.get("content") or message.get("tool_calls") or message.get("native")
    )


def _mark_message(message: dict[str, Any], *, parts: int | None = None) -> None:
    blocks = _blocks(message["content"])
    upto = len(blocks) if parts is None else parts
    message["content"] = [*_marked(blocks[:upto]), *blocks[upto:]]


def _blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content


def _marked(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks with a mark on the last one that can have it."""
    marked = list(blocks)
    for place in reversed(range(len(marked))):
        block = marked[place]
        if block.get("type") not in _UNMARKABLE and block.get("text") != "":
            marked[place] = {**block, "cache_control": _MARK}
            break
    return marked
