"""Builds the providers of the catalogue. A provider's module loads when it is first built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from orc.about import install_command
from orc.ledger.servers.server_def import HeaderDef, ServerDef
from orc.providers.catalogue import REGISTRY, ProviderEntry
from orc.providers.contract import Provider, Quirks, Server
from orc.providers.errors import PermanentError

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


def build_server(name: str, server: ServerDef, environment: Environment) -> Provider:
    """The provider of a named server; its key and secret headers come from the environment.

    Raises PermanentError (kind `environment`) if a variable is missing or an address cannot be used.
    """
    values = {variable: _read(name, variable, environment) for variable in server.variables()}
    headers = {
        header: value if isinstance(value, str) else f"{value.prefix}{values[value.env]}"
        for header, value in server.headers.items()
    }
    hidden = [headers[header] for header in server.headers if _is_secret(server, header)]
    made = Server(
        name=name,
        base_url=server.base_url,
        key=values.get(server.key or "", ""),
        key_variable=server.key or "",
        headers=headers,
        query=server.query,
        secrets=(*values.values(), *hidden),
        quirks=Quirks(
            limit_field=server.limit_field,
            json_mode=server.json_mode,
            tools_strict=server.tools_strict,
            stream=server.stream,
            reasoning_field=server.reasoning_field,
        ),
    )
    module = import_module(REGISTRY[server.api].module)
    build = cast(Callable[[Server], Provider], module.build_server)
    return build(made)


def missing_variables(server: ServerDef, environment: Environment) -> list[str]:
    """The variables that the server needs and that are not set."""
    names = dict.fromkeys(server.variables())
    return [name for name in names if not environment.get(name, "").strip()]


def _is_secret(server: ServerDef, header: str) -> bool:
    return isinstance(server.headers[header], HeaderDef)


def _read(name: str, variable: str, environment: Environment) -> str:
    value = environment.get(variable, "").strip()
    if not value:
        raise PermanentError("environment", f"{variable} is not set: the server {name!r} needs it")
    if not _is_sendable(value):
        raise PermanentError(
            "environment",
            f"{variable} contains a character that a header cannot hold; set it again",
        )
    return value


def _is_sendable(value: str) -> bool:
    """Whether a header can hold the value: visible ASCII characters and inner spaces (RFC 9110)."""
    return value.isascii() and value.isprintable() and value == value.strip()
