"""The facts about each provider, as plain data. `registry.py` builds providers from the entries.

This module imports only plain data, so that prices, exports and the scheduler can read it cheaply.
"""

from __future__ import annotations

from typing import NamedTuple

from orc.providers.servers.presets import PRESETS


class ProviderEntry(NamedTuple):
    """The facts about one provider.

    `module` has a function `build(environment, base_url) -> Provider`. `default_model` is used if
    neither the spec nor the environment names a model. `model_variables` are the environment
    variables for the model; the first one that is set counts.
    """

    name: str
    module: str
    default_model: str
    model_variables: tuple[str, ...] = ()
    local: bool = False
    """Whether models run on the user's machine, so that tokens cost nothing."""
    is_recorded: bool = False
    """Whether it answers from recorded replies, at the prices of the recorded provider."""
    unread: frozenset[str] = frozenset()
    """The kinds of files that its models cannot read: "image", "PDF"."""
    embeds: bool = False
    """Whether its API computes vectors of texts."""
    embedding_model: str = ""
    """The model of an `embed` step that names none; empty if such a step must name one."""
    has_address: bool = True
    """Whether a spec may set a `base_url` for it."""
    key_variable: str | None = None
    address_variable: str | None = None
    """The environment variables for the key and for the server's address."""
    default_address: str | None = None
    """The address of a server on this machine, if the variable is not set."""
    has_batches: bool = False
    """Whether its API takes requests in batches (`orc.providers.batches`)."""
    section: str | None = None
    """The key below `params` for further fields of its API; None if it has no such section."""
    billed_as: str | None = None
    """The provider whose prices apply, if it has none of its own."""
    telemetry_name: str | None = None
    """OpenTelemetry's `gen_ai.provider.name`, if that differs from `name`."""
    package: str | None = None
    """The distribution that only this provider needs."""
    extra: str | None = None
    """The extra of orc that installs `package`; None if every installation has it."""
    import_name: str | None = None
    """The import name of `package`, if `extra` is set."""
    runs_on: str | None = None
    """The machines that `package` supports; None for all."""


_ENTRIES = (
    ProviderEntry(
        name="ollama",
        module="orc.providers.ollama",
        default_model="llama3.2",
        model_variables=("OLLAMA_MODEL",),
        local=True,
        unread=frozenset({"PDF"}),
        address_variable="OLLAMA_BASE_URL",
        default_address="http://localhost:11434",
        embeds=True,
        embedding_model="nomic-embed-text",
        section="ollama",
    ),
    ProviderEntry(
        name="replay",
        module="orc.providers.replay",
        default_model="recorded",
        is_recorded=True,
        embeds=True,
        embedding_model="recorded",
        has_address=False,
    ),
    ProviderEntry(
        name="openai",
        module="orc.providers.openai",
        has_batches=True,
        embeds=True,
        embedding_model="text-embedding-3-small",
        # Later models take functions only by the other API, and no `temperature`.
        default_model="gpt-5.4-mini",
        model_variables=("OPENAI_MODEL",),
        key_variable="OPENAI_API_KEY",
        address_variable="OPENAI_BASE_URL",
        section="openai",
        package="openai",
    ),
    ProviderEntry(
        name="openai-responses",
        module="orc.providers.openai_responses",
        has_batches=True,
        embeds=True,
        embedding_model="text-embedding-3-small",
        default_model="gpt-6-luna",
        model_variables=("OPENAI_MODEL",),
        key_variable="OPENAI_API_KEY",
        address_variable="OPENAI_BASE_URL",
        section="openai",
        billed_as="openai",
        telemetry_name="openai",
        package="openai",
    ),
    ProviderEntry(
        name="anthropic",
        module="orc.providers.anthropic",
        has_batches=True,
        default_model="claude-haiku-5-5",
        model_variables=("ANTHROPIC_MODEL",),
        key_variable="ANTHROPIC_API_KEY",
        address_variable="ANTHROPIC_BASE_URL",
        section="anthropic",
        package="anthropic",
    ),
    ProviderEntry(
        name="mlx",
        module="orc.providers.mlx",
        default_model="mlx-community/Llama-3.2-3B-Instruct-4bit",
        model_variables=("MLX_MODEL_PATH", "MLX_MODEL"),
        local=True,
        unread=frozenset({"PDF", "image"}),
        has_address=False,
        section="mlx",
        package="mlx-lm",
        extra="mlx",
        import_name="mlx_lm",
        runs_on="macOS on Apple silicon, or Linux",
    ),
)

REGISTRY: dict[str, ProviderEntry] = {entry.name: entry for entry in _ENTRIES}
"""The providers by name, in the order in which commands list them."""

DEFAULT_PROVIDER = _ENTRIES[0].name
"""The provider if neither the spec nor the environment names one."""

SECTIONS: tuple[str, ...] = tuple(
    dict.fromkeys(entry.section for entry in _ENTRIES if entry.section is not None)
)
"""The keys below `params` that hold fields for one provider's API."""


def facts_of(provider: str) -> ProviderEntry:
    """The entry of a provider by name; an unknown name gets an entry with the defaults.

    A ledger may name a named server, or a provider that only a later version of orc has. What the
    tokens of a server cost, and whether anything, is in the definition of the job.
    """
    found = REGISTRY.get(provider)
    if found is not None:
        return found
    preset = PRESETS.get(provider)
    return ProviderEntry(
        name=provider,
        module="",
        default_model="",
        section=provider,
        telemetry_name=None if preset is None else preset.telemetry_name,
    )
