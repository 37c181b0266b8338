"""Models of the spec for model calls: parameters, targets, tools, messages, output format, rates."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from orc.scheduler.core.spec.base import Filled, OrTemplate, Strict, as_list, shorthand


class ParamsSpec(Strict):
    """Parameters of model calls. A provider's own parameters are under its name.

    A parameter that a provider does not support is not sent; the ledger records that. A parameter
    that is null is not sent either, whatever `params` around it or the environment say.
    """

    takes_null = True

    temperature: Annotated[float, Field(ge=0)] | OrTemplate | None = Field(
        None, description="The sampling temperature; 0 is the least random."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | OrTemplate | None = Field(
        None,
        description="Nucleus sampling: the total probability of the tokens to choose from.",
    )
    max_tokens: Annotated[int, Field(gt=0)] | OrTemplate | None = Field(
        None, description="The maximum length of the reply, in tokens."
    )
    stop: Annotated[
        list[Filled] | None, BeforeValidator(as_list, json_schema_input_type=str | list[str])
    ] = Field(None, description="Texts that end the reply.")
    seed: int | OrTemplate | None = Field(
        None, description="The seed of the sampling, for repeatable replies where supported."
    )
    top_k: Annotated[int, Field(gt=0)] | OrTemplate | None = Field(
        None, description="Sample from the k most likely tokens."
    )
    min_p: Annotated[float, Field(ge=0, le=1)] | OrTemplate | None = Field(
        None,
        description="The minimum probability of a token, relative to the most likely token.",
    )
    presence_penalty: float | OrTemplate | None = Field(
        None, description="Penalty for tokens that have occurred in the text."
    )
    frequency_penalty: float | OrTemplate | None = Field(
        None, description="Penalty for tokens by how often they have occurred in the text."
    )
    repeat_penalty: Annotated[float, Field(gt=0)] | OrTemplate | None = Field(
        None, description="Penalty for repeated tokens (Ollama and MLX)."
    )
    reasoning_effort: (
        Literal["none", "minimal", "low", "medium", "high", "max"] | OrTemplate | None
    ) = Field(None, description="How much a reasoning model may think before it answers.")
    num_ctx: Annotated[int, Field(gt=0)] | OrTemplate | None = Field(
        None, description="Ollama: the size of the context, in tokens."
    )
    num_thread: Annotated[int, Field(gt=0)] | OrTemplate | None = Field(
        None, description="Ollama: the number of CPU threads."
    )
    num_predict: int | OrTemplate | None = Field(None, description="Ollama's name of max_tokens.")
    keep_alive: Filled | int | None = Field(
        None, description="Ollama: how long the model stays loaded, such as 5m, 0 or -1."
    )
    openai: dict[str, Any] | OrTemplate | None = Field(
        None, description="Further fields of the request, sent to OpenAI only."
    )
    anthropic: dict[str, Any] | OrTemplate | None = Field(
        None, description="Further fields of the request, sent to Anthropic only."
    )
    ollama: dict[str, Any] | OrTemplate | None = Field(
        None, description="Further fields of the request, sent to Ollama only."
    )
    mlx: dict[str, Any] | OrTemplate | None = Field(
        None, description="Further options, passed to mlx-lm only."
    )


class OutputSpec(Strict):
    """The format of a step's output."""

    format: Literal["text", "json"] = Field(
        "text",
        description="With `json`, the text is parsed; a text that is not JSON fails the step.",
    )
    json_schema: dict[str, Any] | OrTemplate | None = Field(
        None, alias="schema", description="A JSON Schema for the value."
    )
    repair: int = Field(
        0,
        ge=0,
        le=20,
        description="How often the model is asked to correct a reply that is not JSON or does not fit "
        "the schema.",
    )


class TargetSpec(Strict):
    """A fallback model. Short form: `provider/model`."""

    provider: Filled = Field(description="A provider, or provider/model.")
    model: Filled | None = Field(
        None, description="The model's name. Default: the default model of the provider."
    )
    base_url: Filled | None = Field(
        None, description="The address of the provider's server, without credentials."
    )


Target = Annotated[
    TargetSpec,
    BeforeValidator(shorthand("provider", str), json_schema_input_type=str | TargetSpec),
]


class ToolSpec(Strict):
    """A tool that a model may call: a built-in tool, or a Python function."""

    name: Filled | None = Field(
        None, description="The tool's name for the model. Default: the function's name."
    )
    builtin: Literal["read_file", "write_file", "list_files", "run_command"] | None = Field(
        None, description="A built-in tool of orc. Short form: its name."
    )
    python: Filled | None = Field(None, description="A Python function: `package.module:function`.")
    description: str | None = Field(
        None, description="A description for the model. Default: the function's docstring."
    )
    parameters: dict[str, Any] | OrTemplate | None = Field(
        None,
        description="A JSON Schema of the arguments. Default: derived from the function's "
        "annotations.",
    )
    allow: list[Filled] | None = Field(
        None,
        min_length=1,
        description="For `run_command`: the allowed programs. Default: any program.",
    )


def tool_name(spec: ToolSpec) -> str:
    """The tool's name for the model: `name`, otherwise the built-in's or the function's name."""
    return spec.name or spec.builtin or (spec.python or "").rpartition(":")[2].rpartition(".")[2]


def _tool(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return {"python": value} if ":" in value else {"builtin": value}


Tool = Annotated[ToolSpec, BeforeValidator(_tool, json_schema_input_type=str | ToolSpec)]


class RateSpec(Strict):
    """Limits per minute for calls to a provider."""

    requests_per_min: float | None = Field(
        None, gt=0, description="The maximum number of calls per minute."
    )
    tokens_per_min: float | None = Field(
        None,
        gt=0,
        description="The maximum number of tokens per minute, input and output together.",
    )


class PartSpec(Strict):
    """A part of a message: a text, or an image."""

    text: Filled | None = Field(None, description="A text.")
    image: Filled | None = Field(
        None,
        description="The path of a PNG, JPEG, GIF or WebP file, relative to the spec; or a template "
        "with the path of a file that a step wrote.",
    )


class MessageSpec(Strict):
    """A message of a conversation."""

    role: Literal["system", "user", "assistant"] = Field(description="The author of the message.")
    content: str | list[PartSpec] = Field(min_length=1, description="A text, or a list of parts.")
