"""A request as Anthropic's Messages API takes it, by platform.claude.com/docs/en/api/messages.

Nothing is left out silently: what the API has no place for is refused. What comes
back is read in `providers.anthropic_reply`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import chain, groupby, takewhile
from typing import Any

from providers.contract import Message, Request, Tool, ToolCall
from providers.errors import PermanentError
from providers.http import safe_text

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

# What structured outputs take, by platform.claude.com/docs/en/build-with-claude/structured-outputs.
_KEYWORDS = set(
    "type properties required additionalProperties items minItems anyOf enum const $ref title "
    "description default format".split()
)
_FORMATS = set("date-time time date duration email hostname uri ipv4 ipv6 uuid".split())
_SAYS_WHAT = {"type", "anyOf", "enum", "const", "$ref"}
OPTIONAL_MAX = 24
UNIONS_MAX = 16


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
    system = [text for text in (request.system, *map(_join_text, leading)) if text]
    body: dict[str, Any] = {"model": request.model, "stream": True}
    if system:
        body["system"] = "\n\n".join(system)
    body["messages"] = _build_messages(request.messages[len(leading) :])
    body |= _build_settings(request.params)
    if request.tools:
        body["tools"] = [_build_tool(tool) for tool in request.tools]
    by_tool = _add_schema(body, request)
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


def _add_schema(body: dict[str, Any], request: Request) -> bool:
    """Asks for the schema by the API's own means, else by a tool that must be called.

    No tool can be forced while the model thinks, nor beside others that it is to call:
    then the scheduler's own check has to do. Says whether the answer comes by the tool.
    """
    schema = request.output_schema
    if schema is None:
        return False
    fitted = fit_schema(schema)
    if fitted is not None:
        form = {"type": "json_schema", "schema": fitted}
        body["output_config"] = {**body.get("output_config", {}), "format": form}
        return False
    is_free = not request.tools and not request.options.keys() & {"thinking", "tool_choice"}
    if not is_free or schema.get("type") != "object":
        return False
    description = "Gives the answer. Call it once, with all of the answer as its input."
    body["tools"] = [
        _build_tool(Tool(name=ANSWER_TOOL, description=description, parameters=dict(schema)))
    ]
    body["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL}
    return True


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


def fit_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema as structured outputs take it; none where they do not.

    They take closed objects only. One that does not say whether it is open is closed:
    what fits it then fits the schema as it was.
    """
    root = {key: value for key, value in schema.items() if key not in ("$schema", "$defs")}
    try:
        fitted = _close(root)
        definitions = {name: _close(inner) for name, inner in schema.get("$defs", {}).items()}
        _check_whole(fitted, definitions)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return {**fitted, "$defs": definitions} if definitions else fitted


def _close(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with every object closed; raises ValueError for what is not taken."""
    kind = schema.get("type", [])
    types = [kind] if isinstance(kind, str) else kind
    is_taken = (
        _KEYWORDS.issuperset(schema)
        and not _SAYS_WHAT.isdisjoint(schema)
        and schema.get("format", "date") in _FORMATS
        and schema.get("minItems", 0) in (0, 1)
        and all(not isinstance(value, dict | list) for value in schema.get("enum", ()))
        and schema.get("additionalProperties", False) is False
        and ("array" in types) == ("items" in schema)
        # Without properties, an object that may be open is a map.
        and ("object" in types) == bool(schema.keys() & {"properties", "additionalProperties"})
    )
    if not is_taken:
        raise ValueError
    closed = dict(schema)
    if "object" in types:
        properties = schema.get("properties", {})
        closed["properties"] = {name: _close(inner) for name, inner in properties.items()}
        closed["additionalProperties"] = False
    if "items" in schema:
        closed["items"] = _close(schema["items"])
    if "anyOf" in schema:
        closed["anyOf"] = [_close(inner) for inner in schema["anyOf"]]
    return closed


def _check_whole(root: dict[str, Any], definitions: Mapping[str, dict[str, Any]]) -> None:
    """Raises ValueError for a reference to elsewhere or in a circle, and past a limit."""
    places = {"#": root, **{f"#/$defs/{name}": inner for name, inner in definitions.items()}}
    levels = {place: list(_levels(schema)) for place, schema in places.items()}
    references = {
        place: {inner["$ref"] for inner in within if "$ref" in inner}
        for place, within in levels.items()
    }
    TopologicalSorter(references).prepare()
    optional = unions = 0
    for inner in chain(*levels.values()):
        optional += len(inner.get("properties", {}).keys() - inner.get("required", []))
        unions += "anyOf" in inner or isinstance(inner.get("type"), list)
    known = places.keys() >= set().union(*references.values())
    if not known or optional > OPTIONAL_MAX or unions > UNIONS_MAX:
        raise ValueError


def _levels(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema and every one in it."""
    yield schema
    items = [schema["items"]] if "items" in schema else []
    for inner in (*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *items):
        yield from _levels(inner)
