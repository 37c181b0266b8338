"""What a spec says of calls to models: parameters, whom to ask, tools, the form of the answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from orc.scheduler.core.spec.base import Strict, as_list, shorthand


class ParamsSpec(Strict):
    """Parameters of a call, by portable names, and for one provider under its name.

    A provider that does not know a name is not sent it, and that is recorded.
    """

    temperature: float | None = Field(None, ge=0, description="0 is the least random.")
    top_p: float | None = Field(None, gt=0, le=1, description="Nucleus sampling.")
    max_tokens: int | None = Field(None, gt=0, description="The longest reply, in tokens.")
    stop: Annotated[
        list[str] | None, BeforeValidator(as_list, json_schema_input_type=str | list[str])
    ] = Field(None, description="Texts at which the reply ends.")
    seed: int | None = Field(None, description="For providers that can repeat a reply.")
    top_k: int | None = Field(None, gt=0, description="Choose among the k likeliest tokens.")
    min_p: float | None = Field(None, ge=0, le=1, description="Least share of the likeliest.")
    presence_penalty: float | None = Field(None, description="Against what was said at all.")
    frequency_penalty: float | None = Field(None, description="Against what was said often.")
    repeat_penalty: float | None = Field(None, gt=0, description="Ollama's and MLX's own.")
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "max"] | None = Field(
        None, description="How long the model may think, where it can."
    )
    num_ctx: int | None = Field(None, gt=0, description="Ollama: size of the context, in tokens.")
    num_thread: int | None = Field(None, gt=0, description="Ollama: threads of the processor.")
    num_predict: int | None = Field(None, description="Ollama's name for max_tokens.")
    keep_alive: str | int | None = Field(
        None, description="Ollama: how long the model stays loaded: 5m, 0, -1."
    )
    openai: dict[str, Any] | None = Field(None, description="More fields for OpenAI's API alone.")
    anthropic: dict[str, Any] | None = Field(None, description="More for Anthropic's alone.")
    ollama: dict[str, Any] | None = Field(None, description="More for Ollama's alone.")
    mlx: dict[str, Any] | None = Field(None, description="More for mlx-lm alone.")


class OutputSpec(Strict):
    """What a step's output is."""

    format: Literal["text", "json"] = Field(
        "text",
        description="`json`: the text is parsed, and a text that is not JSON fails the step.",
    )
    json_schema: dict[str, Any] | None = Field(
        None, alias="schema", description="A JSON Schema that the value must fit."
    )
    repair: int = Field(
        0, ge=0, le=20, description="How often the model is shown its mistake and asked again."
    )


class TargetSpec(Strict):
    """Another model to ask; `provider/model` in short."""

    provider: str = Field(description="provider, or provider/model.")
    model: str | None = Field(None, description="Default: that of the provider.")
    base_url: str | None = Field(None, description="The server's address, without credentials.")


Target = Annotated[
    TargetSpec,
    BeforeValidator(shorthand("provider", str), json_schema_input_type=str | TargetSpec),
]


class ToolSpec(Strict):
    """A tool that a model may call: a built-in, or a Python function."""

    name: str | None = Field(None, description="What the model calls it.")
    builtin: Literal["read_file", "write_file", "list_files", "run_command"] | None = Field(
        None, description="One of orc's own; in short its name alone."
    )
    python: str | None = Field(None, description="A Python function: `package.module:function`.")
    description: str | None = Field(None, description="Default: the function's own docstring.")
    parameters: dict[str, Any] | None = Field(
        None, description="JSON Schema of the arguments. Default: from the annotations."
    )
    allow: list[str] | None = Field(
        None, description="`run_command`: the programs that may be started. Default: any."
    )


def tool_name(spec: ToolSpec) -> str:
    """What the model calls the tool: its own name, else the function's."""
    return spec.name or spec.builtin or (spec.python or "").rpartition(":")[2].rpartition(".")[2]


def _tool(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return {"python": value} if ":" in value else {"builtin": value}


Tool = Annotated[ToolSpec, BeforeValidator(_tool, json_schema_input_type=str | ToolSpec)]


class RateSpec(Strict):
    """What a provider may be asked in a minute."""

    requests_per_min: float | None = Field(None, gt=0, description="Calls.")
    tokens_per_min: float | None = Field(None, gt=0, description="Tokens, in and out.")


class PartSpec(Strict):
    """A part of a message: a text, or an image."""

    text: str | None = Field(None, description="A text.")
    image: str | None = Field(
        None,
        description="A PNG, JPEG, GIF or WebP file beside the spec; or, as a template, the path of "
        "a file that a step wrote.",
    )


class MessageSpec(Strict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"] = Field(description="Who speaks.")
    content: str | list[PartSpec] = Field(description="A text, or parts.")
