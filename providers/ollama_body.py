"""A request as the body of Ollama's /api/chat, by docs/api.md in ollama/ollama.

Nothing is left out silently: what the API has no place for is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orc.providers.contract import Message, Request, Tool, ToolCall
from orc.providers.errors import PermanentError
from orc.providers.http import safe_text
from orc.providers.instructions import instruct

# In the order in which they count: `num_predict` comes after its portable name.
_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "max_tokens": "num_predict",
    "num_predict": "num_predict",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "repeat_penalty": "repeat_penalty",
    "num_ctx": "num_ctx",
    "num_thread": "num_thread",
}
# Thinking has the levels low, medium, high and max, and can be off.
_THINKING = {"none": False, "minimal": "low"}
_BODY_KEYS = frozenset({"think", "keep_alive", "logprobs", "top_logprobs", "truncate", "shift"})
_OWN_KEYS = frozenset({"model", "messages", "stream", "tools", "format", "options"})

PARAMS = frozenset({*_OPTIONS, "reasoning_effort", "keep_alive"})


def build_body(request: Request) -> bytes:
    """The body's bytes; raises PermanentError for what cannot be asked of Ollama."""
    _check_names(request)
    # A `format` binds every token, so that a model under it can call no tool: it is told
    # in words what is wanted of its answer.
    words = instruct(request.system, request) if request.tools else request.system
    system = [] if words is None else [{"role": "system", "content": words}]
    messages = [*system, *map(_build_message, request.messages)]
    if not messages:
        # Ollama answers an empty conversation with the loading of the model.
        raise PermanentError("bad_request", "a request to Ollama needs a message")
    body: dict[str, Any] = {
        "model": request.model,
        "messages": messages,
        "stream": True,
        **_build_settings(request),
    }
    if request.tools:
        body["tools"] = [_build_tool(tool) for tool in request.tools]
    elif request.output_schema is not None:
        body["format"] = request.output_schema
    elif request.json_output:
        body["format"] = "json"
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, TypeError, RecursionError) as error:
        raise PermanentError(
            "bad_request",
            f"the request cannot be written as JSON in UTF-8: {safe_text(str(error))}",
        ) from error


def _check_names(request: Request) -> None:
    unknown = sorted(set(request.params) - PARAMS)
    if unknown:
        known = ", ".join(sorted(PARAMS))
        raise PermanentError(
            "bad_request", f"Ollama has no parameter {unknown[0]!r}; it has {known}"
        )
    taken = sorted(set(request.options) & _OWN_KEYS)
    if taken:
        raise PermanentError(
            "bad_request",
            f"{taken[0]!r} is no option for Ollama: it is set by the request itself; name a "
            "field of its `options`, or one of " + ", ".join(sorted(_BODY_KEYS)),
        )


def _build_settings(request: Request) -> dict[str, Any]:
    """The fields beside the conversation, `options` among them; the request's own options win."""
    params = request.params
    settings: dict[str, Any] = {}
    if "keep_alive" in params:
        settings["keep_alive"] = params["keep_alive"]
    if "reasoning_effort" in params:
        effort = params["reasoning_effort"]
        settings["think"] = _THINKING.get(effort, effort)
    options = _build_options(params)
    for key, value in request.options.items():
        (settings if key in _BODY_KEYS else options)[key] = value
    return {**settings, "options": options} if options else settings


def _build_options(params: Mapping[str, Any]) -> dict[str, Any]:
    options = {field: params[name] for name, field in _OPTIONS.items() if name in params}
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    return options


def _build_tool(tool: Tool) -> dict[str, Any]:
    return {"type": "function", "function": dict(tool)}


def _build_message(message: Message) -> dict[str, Any]:
    built = {"role": message["role"], **_build_content(message.get("content", ""))}
    if message["role"] == "tool":
        built["tool_name"] = message.get("name", "")
    if message.get("tool_calls"):
        built["tool_calls"] = [_build_call(call) for call in message["tool_calls"]]
    match message.get("native"):
        case {"provider": "ollama", "content": {"thinking": str(thinking)}}:
            built["thinking"] = thinking
    return built


def _build_content(content: Any) -> dict[str, Any]:
    if isinstance(content, str):
        return {"content": content}
    texts, images = [], []
    for part in content:
        if part["type"] == "text":
            texts.append(part["text"])
        elif part["type"] == "image":
            images.append(part["data"])
        else:
            kind = safe_text(str(part["type"]), length_max=80)
            raise PermanentError("bad_request", f"Ollama takes no part of type {kind!r}")
    built: dict[str, Any] = {"content": "\n".join(texts)}
    if images:
        built["images"] = images
    return built


def _build_call(call: ToolCall) -> dict[str, Any]:
    arguments = call["arguments"]
    if isinstance(arguments, str):
        # The API takes an object only, and the model is to see what it wrote.
        arguments = {"arguments": arguments}
    return {"function": {"name": call["name"], "arguments": arguments}}
