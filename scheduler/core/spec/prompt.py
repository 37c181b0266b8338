"""Models of the spec for model calls: parameters, targets, servers, tools, messages, output, rates."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator

from orc.scheduler.core.spec.base import Duration, Filled, OrTemplate, Strict, as_list, shorthand
from orc.scheduler.core.unkept import unkept_problem

VARIABLE_PATTERN = r"^[A-Z_][A-Z0-9_]*$"
"""The names of variables with keys: capitals only, so that a key in their place is noticed."""
SERVER_PATTERN = r"^[A-Za-z][A-Za-z0-9_.-]*$"
"""The names of servers."""
MODEL_PATTERN = r"^\S([\s\S]*\S)?$"
"""The names of models: a blank, or a line feed at the end, was written by mistake."""
Variable = Annotated[str, Field(pattern=VARIABLE_PATTERN, max_length=200)]
ServerName = Annotated[str, Field(pattern=SERVER_PATTERN, max_length=64)]
Model = Annotated[str, Field(pattern=MODEL_PATTERN)]
FilledList = Annotated[list[Filled], Field(min_length=1)]
_FILE = re.compile(r"/|\.(?:py|js|mjs|ts|sh)$")
Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]


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
        list[Filled] | None, BeforeValidator(as_list, json_schema_input_type=Filled | list[Filled])
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

    @field_validator("openai", "anthropic", "ollama", "mlx")
    @classmethod
    def _is_kept(cls, options: dict[str, Any] | str | None) -> dict[str, Any] | str | None:
        problem = unkept_problem(options) if isinstance(options, dict) else ""
        if problem:
            raise ValueError(problem)
        return options


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
    model: Model | None = Field(
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
    """A tool that a model may call: a built-in tool, a Python function, or those of an MCP server."""

    name: Filled | None = Field(
        None,
        description="The tool's name for the model. Default: the function's name. Of an MCP server: "
        "a word before the names of its tools. Default: none.",
    )
    builtin: Literal["read_file", "write_file", "list_files", "run_command"] | None = Field(
        None, description="A built-in tool of orc. Short form: its name."
    )
    python: Filled | None = Field(None, description="A Python function: `package.module:function`.")
    mcp: Filled | FilledList | None = Field(
        None,
        description="An MCP server, whose tools are offered: a file beside the spec, or a command as a "
        "list of arguments.",
    )
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
        description="For `run_command`: the allowed programs. Default: any program. For `mcp`: the "
        "offered tools of the server. Default: all.",
    )


def tool_name(spec: ToolSpec) -> str:
    """The tool's name for the model: `name`, otherwise the built-in's or the function's name."""
    return spec.name or spec.builtin or (spec.python or "").rpartition(":")[2].rpartition(".")[2]


def _tool(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if ":" not in value and _FILE.search(value):
        raise ValueError(f"a file is not a tool; for an MCP server, write {{mcp: {value}}}")
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


class HeaderSpec(Strict):
    """A header whose value comes from an environment variable. The value is hidden everywhere."""

    env: Variable = Field(description="The environment variable with the value.")
    prefix: str = Field("", description="A text before the value, such as `Token ` or `Basic `.")


_CachedInput = Annotated[
    Cost | None,
    Field(description="The price of input that the server had in its cache. Default: `input`."),
]
_CacheWrite = Annotated[
    Cost | None,
    Field(description="The price of input that the server puts into its cache. Default: `input`."),
]


class BatchPriceSpec(Strict):
    """The price of a model in a batch, in US dollars per million tokens."""

    input: Cost = Field(description="The price of input.")
    output: Cost = Field(description="The price of output.")
    cached_input: _CachedInput = None
    cache_write: _CacheWrite = None


class ServerPriceSpec(Strict):
    """The price of a model at a server, in US dollars per million tokens."""

    input: Cost = Field(description="The price of input.")
    output: Cost = Field(description="The price of output.")
    cached_input: _CachedInput = None
    cache_write: _CacheWrite = None
    batch: BatchPriceSpec | None = Field(
        None, description="The price of calls in a batch. Default: half of this one."
    )


def _text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


QueryText = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | float)]


class ServerSpec(Strict):
    """A named server. Steps call its models as `provider: NAME/MODEL`."""

    nullable: ClassVar[frozenset[str]] = frozenset({"key"})

    api: Literal["openai", "openai-responses", "anthropic", "ollama"] | None = Field(
        None,
        description="The API that the server follows: `openai` is chat completions. Default: that of "
        "the preset with this name.",
    )
    base_url: Filled | None = Field(
        None,
        description="The address of the API, without credentials. Default: that of the preset.",
    )
    key: Variable | None = Field(
        None,
        description="The environment variable with the key; null for a server without one. It is "
        "sent to this server only.",
    )
    headers: dict[str, str | HeaderSpec] = Field(
        {}, description="Further headers: texts, or `{env: VARIABLE}` for secret values."
    )
    query: dict[str, QueryText] = Field(
        {}, description="Parameters of each request's address, such as `api-version`."
    )
    plain_http: bool = Field(
        False,
        description="Allow sending a key to another machine over http, where anyone on the way can "
        "read it.",
    )
    model: Model | None = Field(None, description="The model of steps that name only the server.")
    timeout: Duration | None = Field(
        None,
        description="How long the server may send nothing, for steps that have no `timeout`.",
    )
    wait_for_server: Duration | None = Field(
        None,
        description="How long steps wait while the server does not answer yet or is loading. Default: "
        "no wait.",
    )
    prices: Literal["free"] | dict[str, ServerPriceSpec] | None = Field(
        None,
        description="Prices by model; `*` is any other model. `free` for models that cost nothing.",
    )
    rate: RateSpec | None = Field(None, description="Limits per minute for calls to this server.")
    concurrency: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The maximum number of steps that call this server at once."
    )
    limit_field: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        None,
        description="The name of `max_tokens` in the request (`openai`). Default: both names.",
    )
    json_mode: Literal["schema", "object", "words"] | None = Field(
        None,
        alias="json",
        description="What the server can do for JSON output: follow a schema, answer with an object, "
        "or only read the instruction. Default: `schema`.",
    )
    tools_strict: bool | None = Field(
        None, description="Whether tools have the field `strict`. Default: true."
    )
    stream: bool | None = Field(
        None, description="Whether replies are streamed (`openai`). Default: true."
    )
    reasoning_field: Literal["reasoning_content", "reasoning"] | None = Field(
        None,
        description="The only field with the model's reasoning that is sent back with tool calls, if "
        "a reply has it (`openai`). Default: each field that a reply has.",
    )
    batch: bool | None = Field(
        None,
        description="Whether the server takes requests in batches. Default: that of the preset, or "
        "false.",
    )


class ServersFile(Strict):
    """A file of servers: `orc.yaml` beside a spec, or the user's own."""

    servers: dict[ServerName, ServerSpec] = Field({}, description="Named servers.")


class EmbedSpec(Strict):
    """Texts whose vectors a model computes. The step's `files` say where the vectors are written."""

    texts: Filled | FilledList = Field(
        description="A text, a list of texts, or a template that gives one of them."
    )
    dimensions: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None,
        description="The length of the vectors, for models that can shorten them. Default: that of "
        "the model.",
    )
    per_request: int = Field(
        2048,
        ge=1,
        le=2048,
        description="The maximum number of texts in one request. A request also has at most 300 kB "
        "of text, unless a single text is longer.",
    )


class PartSpec(Strict):
    """A part of a message: a text, an image, or a file."""

    text: Filled | None = Field(None, description="A text.")
    image: Filled | None = Field(
        None,
        description="The path of a PNG, JPEG, GIF or WebP file, relative to the spec; or a template "
        "with the path of a file that a step wrote.",
    )
    file: Filled | None = Field(
        None,
        description="An image, a PDF document or a text file, judged by its content: its path relative "
        "to the spec; or a template with the path of a file that a step wrote, or with an input that "
        "is a file.",
    )


class MessageSpec(Strict):
    """A message of a conversation."""

    role: Literal["system", "user", "assistant"] = Field(description="The author of the message.")
    content: Filled | Annotated[list[PartSpec], Field(min_length=1)] = Field(
        description="A text, or a list of parts."
    )
