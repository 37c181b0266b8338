"""Reads the secrets of providers from the environment. Imports nothing that loads slowly.

Every command hides them in what it prints. The tables of providers and servers are therefore read
only where the environment has a variable with the ending of one that holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping

ENDINGS = ("_KEY", "_TOKEN", "_BASE_URL", "_PROXY")
"""How the variables end that hold secrets of providers, in upper case."""

_OTHER_KEYS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def read_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """The secrets that providers read from the environment, by variable.

    These are keys, and the passwords in addresses and proxies.
    """
    if not any(name.upper().endswith(ENDINGS) for name in environment):
        return {}
    found = {name: environment.get(name, "") for name in key_variables() | {*_OTHER_KEYS}}
    for name in address_variables():
        found[name] = _password(environment.get(name, ""))
    return {name: found[name] for name in sorted(found) if found[name].strip()}


def key_variables() -> set[str]:
    """The variables that hold the keys of providers and of the servers that orc knows."""
    from orc.providers.catalogue import REGISTRY
    from orc.providers.servers.presets import PRESETS

    entries = (entry.key_variable for entry in REGISTRY.values() if entry.key_variable)
    return {*entries, *(preset.key for preset in PRESETS.values() if preset.key)}


def address_variables() -> set[str]:
    """The variables with addresses of providers and proxies, which may contain a password."""
    from orc.providers.catalogue import REGISTRY
    from orc.providers.servers.presets import PRESETS

    entries = (entry.address_variable for entry in REGISTRY.values() if entry.address_variable)
    presets = (preset.address_variable for preset in PRESETS.values())
    return {*entries, *presets, *_PROXIES, *map(str.lower, _PROXIES)}


def _password(address: str) -> str:
    if "@" not in address:
        return ""
    from urllib.parse import unquote, urlsplit

    try:
        return unquote(urlsplit(address).password or "")
    except ValueError:
        return ""
