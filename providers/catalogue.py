"""What is known of each provider, as plain data: one entry a provider, and no code of theirs.

It imports nothing but the standard library, so that prices, exports and the scheduler may read
it too. `registry.py` builds providers from the entries.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEntry:
    """A provider by name.

    `module` has a function `build(environment, base_url) -> Provider`, whose result says which
    parameters it knows. `default_model` is used where neither spec nor environment names one;
    `model_variables` are the environment's names for it, the first that is set counting.
    """

    name: str
    module: str
    default_model: str
    model_variables: tuple[str, ...] = ()
    local: bool = False
    """Runs on the caller's own machine: a token costs nothing."""
    is_recorded: bool = False
    """Answers from recorded replies, at the prices of the provider that was recorded."""
    has_address: bool = True
    """A spec may give it a `base_url`."""
    key_variable: str | None = None
    address_variable: str | None = None
    """The environment's names for the key, and for the server's address."""
    section: str | None = None
    """The key below `params` with more fields for its API; None where it has no such section."""
    billed_as: str | None = None
    """The provider whose prices it has, where it has none of its own."""
    telemetry_name: str | None = None
    """OpenTelemetry's `gen_ai.provider.name`, where that is not `name`."""
    package: str | None = None
    """The distribution that it needs besides those that every installation of orc has anyway."""
    extra: str | None = None
    """The optional extra of orc with its package; None where every installation has it."""
    import_name: str | None = None
    """The package's import name, where `extra` says that it may be missing."""
    runs_on: str | None = None
    """The machines that its package is for, where that is not all."""


_ENTRIES = (
    ProviderEntry(
        name="ollama",
        module="orc.providers.ollama",
        default_model="llama3.2",
        model_variables=("OLLAMA_MODEL",),
        local=True,
        address_variable="OLLAMA_BASE_URL",
        section="ollama",
    ),
    ProviderEntry(
        name="replay",
        module="orc.providers.replay",
        default_model="recorded",
        is_recorded=True,
        has_address=False,
    ),
    ProviderEntry(
        name="openai",
        module="orc.providers.openai",
        default_model="gpt-4o-mini",
        model_variables=("OPENAI_MODEL",),
        key_variable="OPENAI_API_KEY",
        address_variable="OPENAI_BASE_URL",
        section="openai",
        package="openai",
    ),
    ProviderEntry(
        name="openai-responses",
        module="orc.providers.openai_responses",
        default_model="gpt-4o-mini",
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
        default_model="claude-haiku-4-5",
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
        has_address=False,
        section="mlx",
        package="mlx-lm",
        extra="mlx",
        import_name="mlx_lm",
        runs_on="macOS on Apple silicon, or Linux",
    ),
)

REGISTRY: dict[str, ProviderEntry] = {entry.name: entry for entry in _ENTRIES}
"""The providers by name, in the order in which people are shown them."""

DEFAULT_PROVIDER = _ENTRIES[0].name
"""The provider of a spec that names none, where the environment names none either."""

SECTIONS: tuple[str, ...] = tuple(
    dict.fromkeys(entry.section for entry in _ENTRIES if entry.section is not None)
)
"""The keys below `params` that are meant for one provider's API alone."""


def facts_of(provider: str) -> ProviderEntry:
    """The entry of a provider by name; of an unknown one, such as a later orc's, nothing is known."""
    found = REGISTRY.get(provider)
    return found or ProviderEntry(name=provider, module="", default_model="", section=provider)
