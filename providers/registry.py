"""How each provider of the catalogue is made. Nothing heavy loads before it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import cast
from urllib.parse import unquote, urlsplit

from orc.about import install_command
from orc.providers.catalogue import REGISTRY, ProviderEntry
from orc.providers.contract import Provider

Environment = Mapping[str, str]


_OTHER_KEYS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


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


def missing_package(entry: ProviderEntry) -> str | None:
    """What is said of a provider whose extra is not installed, with the command; None if it is."""
    if entry.extra is None or entry.import_name is None or find_spec(entry.import_name):
        return None
    return missing_message(entry)


def missing_message(entry: ProviderEntry) -> str:
    """That the package of a provider's extra is missing, and the exact command that installs it."""
    assert entry.extra is not None
    machines = f" ({entry.runs_on})" if entry.runs_on else ""
    return f"{entry.package} is not installed: {install_command(entry.extra)}{machines}"


def build_provider(name: str, environment: Environment, *, base_url: str | None = None) -> Provider:
    """A new provider, set up from the environment; `base_url` comes before its variable.

    Raises PermanentError (kind `environment`) when something that it needs is
    missing. `replay` is built with `orc.providers.replay.Replay`, from its file.
    """
    module = import_module(REGISTRY[name].module)
    build = cast(Callable[[Environment, str | None], Provider], module.build)
    return build(environment, base_url)
