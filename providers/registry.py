"""Which providers there are, and how each is made. Nothing heavy loads before it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import cast
from urllib.parse import unquote, urlsplit

from orc.providers.contract import Provider

Environment = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """A provider by name.

    `module` has a function `build(environment, base_url) -> Provider`; `default_model` is
    used where neither spec nor environment names one, and `model_variables` are
    the environment's names for it, the first that is set counting.
    `local` providers cost nothing a token; `has_address` ones can be told a `base_url`.
    `key_variable` and `address_variable` name the environment's key and address.
    """

    name: str
    module: str
    default_model: str
    model_variables: tuple[str, ...]
    local: bool = False
    has_address: bool = True
    key_variable: str | None = None
    address_variable: str | None = None


_ENTRIES = (
    ProviderEntry(
        "ollama",
        "orc.providers.ollama",
        "llama3.2",
        ("OLLAMA_MODEL",),
        local=True,
        address_variable="OLLAMA_BASE_URL",
    ),
    ProviderEntry("replay", "orc.providers.replay", "recorded", (), has_address=False),
    ProviderEntry(
        "openai",
        "orc.providers.openai",
        "gpt-4o-mini",
        ("OPENAI_MODEL",),
        key_variable="OPENAI_API_KEY",
        address_variable="OPENAI_BASE_URL",
    ),
    ProviderEntry(
        "openai-responses",
        "orc.providers.openai_responses",
        "gpt-4o-mini",
        ("OPENAI_MODEL",),
        key_variable="OPENAI_API_KEY",
        address_variable="OPENAI_BASE_URL",
    ),
    ProviderEntry(
        "anthropic",
        "orc.providers.anthropic",
        "claude-haiku-4-5",
        ("ANTHROPIC_MODEL",),
        key_variable="ANTHROPIC_API_KEY",
        address_variable="ANTHROPIC_BASE_URL",
    ),
    ProviderEntry(
        "mlx",
        "orc.providers.mlx",
        "mlx-community/Llama-3.2-3B-Instruct-4bit",
        ("MLX_MODEL_PATH", "MLX_MODEL"),
        local=True,
        has_address=False,
    ),
)

_OTHER_KEYS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")

REGISTRY: dict[str, ProviderEntry] = {entry.name: entry for entry in _ENTRIES}


def read_keys(environment: Environment) -> dict[str, str]:
    """What the providers read of the environment and nobody may be shown, by variable.

    Keys, and the passwords of addresses and proxies.
    """
    entries = REGISTRY.values()
    names = {entry.key_variable for entry in entries if entry.key_variable} | {*_OTHER_KEYS}
    found = {name: environment.get(name, "") for name in names}
    addresses = {entry.address_variable for entry in entries if entry.address_variable}
    for name in (*addresses, *_PROXIES, *map(str.lower, _PROXIES)):
        found[name] = _password(environment.get(name, ""))
    return {name: found[name] for name in sorted(found) if found[name].strip()}


def _password(address: str) -> str:
    try:
        return unquote(urlsplit(address).password or "")
    except ValueError:
        return ""


def build_provider(name: str, environment: Environment, *, base_url: str | None = None) -> Provider:
    """A new provider, set up from the environment; `base_url` comes before its variable.

    Raises PermanentError (kind `environment`) when something that it needs is
    missing. `replay` is built with `orc.providers.replay.Replay`, from its file.
    """
    module = import_module(REGISTRY[name].module)
    build = cast(Callable[[Environment, str | None], Provider], module.build)
    return build(environment, base_url)
