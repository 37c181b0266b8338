"""Builds the body of a request to Ollama's /api/chat (docs/api.md in ollama/ollama).

Nothing is dropped silently: a request that the API cannot express is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orc.providers.contract import Message, Request, Tool, ToolCall
from orc.providers.errors import PermanentError
from orc.providers.http import encode_body, safe_text
from orc.providers.instructions import document_words, instruct

# Later entries override earlier ones: `num_predict` overrides its portable name `max_tokens`.
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
# Ollama's levels of thinking are low, medium, high and max; false turns it off.
_THINKING = {"none": False, "minimal": "low"}
_BODY_KEYS = frozenset({"think", "keep_alive", "logprobs", "top_logprobs", "truncate", "shift"})
_OWN_KEYS = frozenset({"model", "messages", "stream", "tools", "format", "options"})

PARAMS = frozenset({*_OPTIONS, "reasoning_effort", "keep_alive"})


def build_body(request: Request) -> bytes:
    """The body as bytes. Raises PermanentError if the API cannot express the request."""
    _check_names(request)
    # `format` constrains every token, so the model could not call tools. With tools, the system
    # text asks for the format instead.
    words = instruct(request.system, request) if request.tools else request.system
    system = [] if words is None else [{"role": "system", "content": words}]
    messages = [*system, *map(_build_message, request.messages)]
    if not messages:
        # For an empty conversation, Ollama only loads the model.
        raise PermanentError("bad_request", "a request to Ollama needs at least one message")
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
    return encode_body(body)


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
            f"the option {taken[0]!r} is not allowed for Ollama: the request itself sets it; use "
            "a field of Ollama's `options`, or one of " + ", ".join(sorted(_BODY_KEYS)),
        )


def _build_settings(request: Request) -> dict[str, Any]:
    """The other fields of the body, with `options`; the request's options override parameters."""
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
        elif part["type"] == "document":
            words = document_words(part)
            if words is None:
                raise PermanentError(
                    "bad_request", "Ollama reads no PDF documents; send their text"
                )
            texts.append(words)
        else:
            kind = safe_text(str(part["type"]), length_max=80)
            raise PermanentError(
                "bad_request",
                f"Ollama does not support a part of type {kind!r}; use another provider for this step",
            )
    built: dict[str, Any] = {"content": "\n".join(texts)}
    if images:
        built["images"] = images
    return built


def _build_call(call: ToolCall) -> dict[str, Any]:
    arguments = call["arguments"]
    if isinstance(arguments, str):
        # The API accepts only an object, and the model should see what it wrote.
        arguments = {"arguments": arguments}
    return {"function": {"name": call["name"], "arguments": arguments}}
