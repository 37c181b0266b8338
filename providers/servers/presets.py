"""The named servers that orc knows without a definition, as plain data with source and date.

Each is a server with an API of the catalogue. What a spec, a project or a user defines under the same
name is added to it. This module imports only the standard library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from orc.ledger.servers.server_def import Api, JsonMode, LimitField, ReasoningField

WRITTEN = "2026-11-30"
"""The day of this table. The sources say how a server is now; none of these servers was called."""


class Preset(NamedTuple):
    """What is known of a server: `source` is the page that documents it.

    `base_url` is empty if every account has its own; then `address_variable` must be set. That
    variable replaces the address in any case. `default_model` is empty if none can be assumed.
    """

    name: str
    base_url: str
    source: str
    address_variable: str
    key: str | None = None
    default_model: str = ""
    api: Api = "openai"
    is_free: bool = False
    """Whether its models run on the user's machine, so that tokens cost nothing."""
    limit_field: LimitField | None = None
    json_mode: JsonMode = "schema"
    tools_strict: bool = True
    stream: bool = True
    reasoning_field: ReasoningField | None = None
    batch: bool = False
    telemetry_name: str | None = None
    """OpenTelemetry's `gen_ai.provider.name`, if it has one for this server."""


def _hosted(
    name: str,
    base_url: str,
    source: str,
    default_model: str = "",
    *,
    limit_field: LimitField = "max_tokens",
    json_mode: JsonMode = "schema",
    tools_strict: bool = True,
    reasoning_field: ReasoningField | None = None,
    batch: bool = False,
    telemetry_name: str | None = None,
) -> Preset:
    """A server with accounts: its variables are `NAME_API_KEY` and `NAME_BASE_URL`."""
    return Preset(
        name=name,
        base_url=base_url,
        source=source,
        key=f"{name.upper()}_API_KEY",
        address_variable=f"{name.upper()}_BASE_URL",
        default_model=default_model,
        limit_field=limit_field,
        json_mode=json_mode,
        tools_strict=tools_strict,
        reasoning_field=reasoning_field,
        batch=batch,
        telemetry_name=telemetry_name,
    )


def _local(
    name: str,
    port: int,
    source: str,
    default_model: str = "",
    *,
    reasoning_field: ReasoningField | None = None,
) -> Preset:
    """A server on this machine, without a key; its variable is `NAME_BASE_URL`."""
    return Preset(
        name=name,
        base_url=f"http://localhost:{port}/v1",
        source=source,
        address_variable=f"{name.upper().replace('-', '_')}_BASE_URL",
        default_model=default_model,
        is_free=True,
        limit_field="max_tokens",
        tools_strict=False,
        reasoning_field=reasoning_field,
    )


_ENTRIES = (
    _hosted(
        "openrouter",
        "https://openrouter.ai/api/v1",
        "https://openrouter.ai/docs/api-reference/overview",
        "openrouter/auto",
        reasoning_field="reasoning",
    ),
    _hosted(
        "groq",
        "https://api.groq.com/openai/v1",
        "https://console.groq.com/docs/openai",
        "llama-3.3-70b-versatile",
        # Most of its models have no response format with a schema.
        json_mode="object",
        limit_field="max_completion_tokens",
        reasoning_field="reasoning",
        batch=True,
        telemetry_name="groq",
    ),
    _hosted(
        "deepseek",
        "https://api.deepseek.com",
        "https://api-docs.deepseek.com/",
        "deepseek-v4-flash",
        json_mode="object",
        tools_strict=False,
        reasoning_field="reasoning_content",
        telemetry_name="deepseek",
    ),
    _hosted(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "https://ai.google.dev/gemini-api/docs/openai",
        "gemini-3.8-flash",
        tools_strict=False,
        telemetry_name="gcp.gemini",
    ),
    _hosted(
        "mistral",
        "https://api.mistral.ai/v1",
        # It answers 422 to any field that it does not know, also to max_completion_tokens.
        "https://docs.mistral.ai/api/",
        "mistral-small-latest",
        telemetry_name="mistral_ai",
    ),
    _hosted(
        "xai",
        "https://api.x.ai/v1",
        "https://docs.x.ai/docs/api-reference",
        limit_field="max_completion_tokens",
        reasoning_field="reasoning_content",
        telemetry_name="x_ai",
    ),
    _hosted(
        "together",
        "https://api.together.xyz/v1",
        "https://docs.together.ai/docs/openai-api-compatibility",
        tools_strict=False,
        reasoning_field="reasoning",
    ),
    _hosted(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        "https://docs.fireworks.ai/tools-sdks/openai-compatibility",
        tools_strict=False,
        reasoning_field="reasoning_content",
    ),
    Preset(
        name="azure",
        # Each resource has its own address: https://NAME.openai.azure.com/openai/v1
        base_url="",
        source="https://learn.microsoft.com/azure/ai-services/openai/api-version-lifecycle",
        key="AZURE_OPENAI_API_KEY",
        address_variable="AZURE_OPENAI_BASE_URL",
        limit_field="max_completion_tokens",
        telemetry_name="azure.ai.openai",
    ),
    _local(
        "vllm",
        8000,
        "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        reasoning_field="reasoning_content",
    ),
    _local(
        "llamacpp",
        8080,
        "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
        # It serves the model that it was started with, by whatever name.
        "default",
        reasoning_field="reasoning_content",
    ),
    _local("lmstudio", 1234, "https://lmstudio.ai/docs/api/endpoints/openai"),
    Preset(
        name="litellm",
        base_url="http://localhost:4000",
        source="https://docs.litellm.ai/docs/proxy/user_keys",
        key="LITELLM_API_KEY",
        address_variable="LITELLM_BASE_URL",
        limit_field="max_tokens",
        reasoning_field="reasoning_content",
    ),
    _local(
        "ollama-openai",
        11434,
        "https://docs.ollama.com/openai",
        reasoning_field="reasoning",
    ),
)

PRESETS: dict[str, Preset] = {entry.name: entry for entry in _ENTRIES}
"""The presets by name, in the order in which commands list them."""
