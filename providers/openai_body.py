"""The pieces of what both of OpenAI's APIs are asked, and which JSON Schemas are asked strictly.

Strict mode holds the model to a schema, and refuses a schema outside its subset
(platform.openai.com/docs/guides/structured-outputs, "Supported schemas"). A spec's
schema is sent unchanged, so it is strict only where it already fits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from orc.providers.contract import Message, Request, Tool, ToolCall
from orc.providers.errors import PermanentError
from orc.providers.http import safe_text
from orc.providers.instructions import instruct, speaks_of_json

DEPTH_MAX = 10
PROPERTIES_MAX = 5000
ENUM_VALUES_MAX = 1000

_Type = Literal["string", "number", "integer", "boolean", "object", "array", "null"]
_Format = Literal[
    "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"
]


def check_params(params: Mapping[str, Any], known: Collection[str]) -> None:
    """Raises PermanentError for a parameter that is none of the API's."""
    for name in sorted(set(params) - set(known)):
        raise PermanentError(
            "bad_request", f"the API has no parameter {name!r}; it has {', '.join(sorted(known))}"
        )


def add_options(
    body: dict[str, Any], options: Mapping[str, Any], *, asked: Collection[str]
) -> None:
    """Adds the options to the body; PermanentError for one that would replace what is asked."""
    for name in options:
        if name in body or name in asked:
            raise PermanentError(
                "bad_request",
                f"the option {safe_text(name)!r} would replace what the step itself asks",
            )
    body.update(options)


def build_system(request: Request) -> str | None:
    """The system text. Both APIs refuse to bind an answer to JSON if no text speaks of JSON.

    A schema that they cannot take is asked for in words.
    """
    if request.output_schema is not None and not takes_schema(request.output_schema):
        return instruct(request.system, request)
    is_bound = request.json_output and request.output_schema is None
    if not is_bound or speaks_of_json(request):
        return request.system
    return instruct(request.system, request)


def build_content(
    message: Message, *, text: Callable[[str], Any], image: Callable[[str], Any]
) -> str | list[Any]:
    """A user's text as it is, or each part as `text`, and `image` of a data URL, make it."""
    content = message.get("content", "")
    if isinstance(content, str):
        return content
    parts = []
    for part in content:
        if part["type"] == "text":
            parts.append(text(part["text"]))
        elif part["type"] == "image":
            parts.append(image(f"data:{part['media_type']};base64,{part['data']}"))
        else:
            raise _build_part_error(part["type"])
    return parts


def join_text(message: Message) -> str:
    """The text of a turn that can hold nothing else."""
    content = message.get("content", "")
    if isinstance(content, str):
        return content
    texts = []
    for part in content:
        if part["type"] != "text":
            raise _build_part_error(part["type"])
        texts.append(part["text"])
    return "\n".join(texts)


def build_function(tool: Tool) -> dict[str, Any]:
    """A tool as the function that both APIs describe alike."""
    return {**tool, "strict": is_strict(tool["parameters"])}


def build_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an answer, with the name and the strictness that both APIs ask for."""
    return {"name": "output", "schema": dict(schema), "strict": is_strict(schema)}


def takes_schema(schema: Mapping[str, Any]) -> bool:
    """Whether both APIs take it as the form of an answer: its root must be an object."""
    return schema.get("type") == "object"


def count_calls(messages: tuple[Message, ...]) -> int:
    """How many tools a conversation has called, so that an id of ours is new to it."""
    return sum(len(message.get("tool_calls", ())) for message in messages)


def write_arguments(call: ToolCall) -> str:
    """The arguments as the JSON text that they came as."""
    arguments = call["arguments"]
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Whether strict mode takes the schema: every object closed, every property required."""
    try:
        root = _StrictSchema.model_validate(dict(schema))
    except (ValidationError, RecursionError):
        return False
    if root.type != "object" or root.any_of is not None:
        return False
    levels = list(root.levels())
    properties = sum(len(schema.properties) for _, schema in levels)
    return max(depth for depth, _ in levels) <= DEPTH_MAX and properties <= PROPERTIES_MAX


def _build_part_error(kind: str) -> PermanentError:
    shown = safe_text(str(kind), length_max=80)
    return PermanentError("bad_request", f"OpenAI takes no part of type {shown!r} in this place")


class _StrictSchema(BaseModel):
    """A schema of the subset; its keywords are all that there are."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    type: _Type | list[_Type] = []
    properties: dict[str, _StrictSchema] = {}
    required: list[str] = []
    additional_properties: Any = Field(None, alias="additionalProperties")
    items: _StrictSchema | None = None
    any_of: list[_StrictSchema] | None = Field(None, alias="anyOf")
    ref: str | None = Field(None, alias="$ref")
    definitions: dict[str, _StrictSchema] = Field({}, alias="$defs")
    enum: Annotated[list[Any], Field(max_length=ENUM_VALUES_MAX)] | None = None
    const: Any = None
    title: str | None = None
    description: str | None = None
    pattern: str | None = None
    format: _Format | None = None
    multiple_of: float | None = Field(None, alias="multipleOf")
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = Field(None, alias="exclusiveMinimum")
    exclusive_maximum: float | None = Field(None, alias="exclusiveMaximum")
    min_items: int | None = Field(None, alias="minItems")
    max_items: int | None = Field(None, alias="maxItems")

    @model_validator(mode="after")
    def _is_closed(self) -> Self:
        types = [self.type] if isinstance(self.type, str) else self.type
        if not self.model_fields_set & {"type", "any_of", "ref"}:
            raise ValueError("it has no type")
        if "array" in types and self.items is None:
            raise ValueError("it does not say what is in the array")
        if "object" in types and self.additional_properties is not False:
            raise ValueError("the object is open")
        if set(self.required) != set(self.properties):
            raise ValueError("a property is not required")
        return self

    def levels(self, depth: int = 0) -> Iterator[tuple[int, _StrictSchema]]:
        """This schema and all within it, each with its depth."""
        yield depth, self
        inner = [*self.properties.values(), *self.definitions.values(), *(self.any_of or ())]
        for schema in inner if self.items is None else [*inner, self.items]:
            yield from schema.levels(depth + 1)
