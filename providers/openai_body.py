"""The parts of a request that both of OpenAI's APIs share, and the rules of strict schemas.

Strict mode makes the model follow a schema, and refuses a schema outside of its subset
(platform.openai.com/docs/guides/structured-outputs, "Supported schemas"). orc sends a spec's
schema unchanged, and sets strict mode only if the schema is in the subset.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from orc.providers.contract import NO_QUIRKS, Message, Quirks, Request, Tool
from orc.providers.errors import PermanentError
from orc.providers.http import safe_text
from orc.providers.instructions import document_words, instruct, join_texts, speaks_of_json

DEPTH_MAX = 10
PROPERTIES_MAX = 5000
ENUM_VALUES_MAX = 1000

_Type = Literal["string", "number", "integer", "boolean", "object", "array", "null"]
_Format = Literal[
    "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"
]


def check_params(params: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise PermanentError for a parameter that the API does not have."""
    for name in sorted(set(params) - set(known)):
        raise PermanentError(
            "bad_request", f"the API has no parameter {name!r}; it has {', '.join(sorted(known))}"
        )


def add_options(
    body: dict[str, Any], options: Mapping[str, Any], *, asked: Collection[str]
) -> None:
    """Add the options to the body. Raises PermanentError if one would replace a field of orc's."""
    for name in options:
        if name in body or name in asked:
            raise PermanentError(
                "bad_request",
                f"the option {safe_text(name)!r} is not allowed: the request itself sets this field",
            )
    body.update(options)


def add_cache_key(body: dict[str, Any], request: Request, *, is_vendors_own: bool) -> None:
    """Add the key by which OpenAI sends requests with the same beginning to the same machine.

    OpenAI caches by itself; compatible servers do, too, or do not, and some refuse an unknown field.
    """
    if request.cached is not None and is_vendors_own:
        body.setdefault("prompt_cache_key", request.cached.key)


def build_system(request: Request, quirks: Quirks = NO_QUIRKS) -> str | None:
    """The system text, with an instruction to answer in JSON if the APIs need one.

    Both APIs refuse JSON mode if no text of the request mentions JSON. If they, or the server, do
    not support the schema, the instruction contains it.
    """
    match json_form(request, quirks):
        case "json_schema":
            return request.system
        case "json_object" if request.output_schema is None and speaks_of_json(request):
            return request.system
    if request.output_schema is None and not request.json_output:
        return request.system
    return instruct(request.system, request)


def json_form(
    request: Request, quirks: Quirks = NO_QUIRKS
) -> Literal["json_schema", "json_object"] | None:
    """The form of a JSON reply that the request asks of the server; None if of the model alone."""
    if request.output_schema is not None and quirks.json_mode == "schema":
        return "json_schema" if takes_schema(request.output_schema) else None
    # A schema whose root is no object contradicts a mode for objects.
    fits = request.output_schema is None or takes_schema(request.output_schema)
    is_asked = (request.json_output or request.output_schema is not None) and fits
    return "json_object" if is_asked and quirks.json_mode != "words" else None


def build_content(
    message: Message,
    *,
    text: Callable[[str], Any],
    image: Callable[[str], Any],
    document: Callable[[str, str], Any],
) -> str | list[Any]:
    """The content of a user message: a string, or its parts, each converted by its function.

    `image` gets a data URL, and `document` the name of a PDF document and its data URL.
    """
    content = message.get("content", "")
    if isinstance(content, str):
        return content
    parts = []
    for part in content:
        if part["type"] == "text":
            parts.append(text(part["text"]))
        elif part["type"] == "image":
            parts.append(image(f"data:{part['media_type']};base64,{part['data']}"))
        elif part["type"] == "document":
            words = document_words(part)
            url = f"data:{part['media_type']};base64,{part.get('data', '')}"
            parts.append(document(part["name"], url) if words is None else text(words))
        else:
            raise _build_part_error(part["type"])
    return parts


def join_text(message: Message) -> str:
    """The text of a message that can hold only text."""
    return join_texts(message.get("content", ""), lambda part: _build_part_error(part["type"]))


def build_function(tool: Tool, quirks: Quirks = NO_QUIRKS) -> dict[str, Any]:
    """A tool as the function object of both APIs."""
    if not quirks.tools_strict:
        return {**tool}
    return {**tool, "strict": is_strict(tool["parameters"])}


def build_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The output schema with the fields `name` and `strict`, which both APIs require."""
    return {"name": "output", "schema": dict(schema), "strict": is_strict(schema)}


def takes_schema(schema: Mapping[str, Any]) -> bool:
    """Whether both APIs support the output schema: its root must be an object."""
    return schema.get("type") == "object"


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Whether strict mode supports the schema: closed objects with only required properties."""
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
    return PermanentError(
        "bad_request",
        f"OpenAI does not support a part of type {shown!r} here; use another provider for this step",
    )


class _StrictSchema(BaseModel):
    """A schema of the subset. Other keywords are not supported."""

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
            raise ValueError("the array has no `items`")
        if "object" in types and self.additional_properties is not False:
            raise ValueError("the object is open")
        if set(self.required) != set(self.properties):
            raise ValueError("a property is not required")
        return self

    def levels(self, depth: int = 0) -> Iterator[tuple[int, _StrictSchema]]:
        """This schema and all schemas inside it, with their depths."""
        yield depth, self
        inner = [*self.properties.values(), *self.definitions.values(), *(self.any_of or ())]
        for schema in inner if self.items is None else [*inner, self.items]:
            yield from schema.levels(depth + 1)
