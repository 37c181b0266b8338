"""Reads the secrets of providers from the environment. Imports nothing that loads slowly."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from orc.providers.catalogue import REGISTRY
from orc.providers.servers.presets import PRESETS

_OTHER_KEYS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def read_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """The secrets that providers read from the environment, by variable.

    These are keys, and the passwords in addresses and proxies.
    """
    entries = REGISTRY.values()
    names = key_variables() | {*_OTHER_KEYS}
    found = {name: environment.get(name, "") for name in names}
    addresses = {entry.address_variable for entry in entries if entry.address_variable}
    addresses |= {preset.address_variable for preset in PRESETS.values()}
    for name in (*addresses, *_PROXIES, *map(str.lower, _PROXIES)):
        found[name] = _password(environment.get(name, ""))
    return {name: found[name] for name in sorted(found) if found[name].strip()}


def key_variables() -> set[str]:
    """The variables that hold the keys of providers and of the servers that orc knows."""
    entries = (entry.key_variable for entry in REGISTRY.values() if entry.key_variable)
    return {*entries, *(preset.key for preset in PRESETS.values() if preset.key)}


def _password(address: str) -> str:
    try:
        return unquote(urlsplit(address).password or "")
    except ValueError:
        return ""
