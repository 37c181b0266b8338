"""Builds the providers of the catalogue. A provider's module loads when it is first built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from orc.about import install_command
from orc.providers.catalogue import REGISTRY, ProviderEntry
from orc.providers.contract import Provider

Environment = Mapping[str, str]


def missing_package(entry: ProviderEntry) -> str | None:
    """The message for a provider whose extra is not installed; None if it is installed."""
    if entry.extra is None or entry.import_name is None or find_spec(entry.import_name):
        return None
    return missing_message(entry)


def missing_message(entry: ProviderEntry) -> str:
    """A message that the provider's package is missing, with the command that installs it."""
    assert entry.extra is not None
    machines = f" ({entry.runs_on})" if entry.runs_on else ""
    return f"{entry.package} is not installed: {install_command(entry.extra)}{machines}"


def build_provider(name: str, environment: Environment, *, base_url: str | None = None) -> Provider:
    """A new provider, configured from the environment; `base_url` overrides its variable.

    Raises PermanentError (kind `environment`) if a required setting or package is missing. Build
    `replay` with `orc.providers.replay.Replay` instead, which needs the recorded replies.
    """
    module = import_module(REGISTRY[name].module)
    build = cast(Callable[[Environment, str | None], Provider], module.build)
    return build(environment, base_url)
