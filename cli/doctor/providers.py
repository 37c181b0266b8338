"""The checks of `orc doctor` for each provider: whether it is configured and answers; its models.

The checks cost nothing: a provider is only asked for the names of its models. A hosted provider is
asked only if its key or its own address is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio
from msgspec import Struct

from orc.cli.doctor.finding import Finding
from orc.ledger.servers.server_def import ServerDef
from orc.ledger.wording import count_text, duration_text
from orc.providers import (
    REGISTRY,
    PermanentError,
    Provider,
    ProviderError,
    build_provider,
    build_server,
)
from orc.providers.catalogue import ProviderEntry
from orc.providers.http import safe_text
from orc.providers.registry import missing_variables

ANSWER_MAX_S = 5.0
MODELS_SHOWN = 10

_NO_SERVERS: Mapping[str, ServerDef] = {}
_CLOSE_MAX_S = 1.0
_MESSAGE_CHARS = 1000
_NAME_CHARS = 80


class _Target(Struct, frozen=True):
    """A provider to ask, with its settings in the environment."""

    name: str
    provider: Provider
    setting: _Setting


class _Setting(Struct, frozen=True):
    """Which variables of a provider are set. The key is kept only to mask it in messages."""

    key_variable: str | None
    key: str
    has_address: bool

    def __repr__(self) -> str:
        return f"_Setting(key_variable={self.key_variable!r}, has_address={self.has_address})"

    @property
    def is_configured(self) -> bool:
        return bool(self.key) or self.has_address

    def details(self) -> dict[str, Any]:
        """The fields of the JSON output: the name of the key's variable, and whether it is set."""
        return {"key_variable": self.key_variable, "key_is_set": bool(self.key)}

    def mask(self, text: str) -> str:
        """A text of a server or a provider, with the key hidden."""
        return safe_text(text, length_max=_MESSAGE_CHARS, secrets=(self.key,))


async def examine_providers(
    environment: Mapping[str, str], servers: Mapping[str, ServerDef] = _NO_SERVERS
) -> list[Finding]:
    """A finding for each provider, in the registry's order, then for each of the named servers.

    All are asked at the same time.
    """
    # All are built before the first is asked, since importing a vendor's package can take seconds
    # and would count as the time of an answer.
    prepared = [_prepare(entry, environment) for entry in REGISTRY.values()]
    prepared += [_prepare_server(name, server, environment) for name, server in servers.items()]
    findings: dict[str, Finding] = {}
    async with trio.open_nursery() as nursery:
        for one in prepared:
            if isinstance(one, Finding):
                findings[one.name] = one
            else:
                nursery.start_soon(_ask, one, findings)
    return [findings[name] for name in (*REGISTRY, *servers)]


def _prepare(entry: ProviderEntry, environment: Mapping[str, str]) -> Finding | _Target:
    if entry.is_recorded:
        return Finding("ok", entry.name, "ready; it answers from recorded replies")
    setting = _read_setting(entry, environment)
    if setting.key_variable is not None and not setting.is_configured:
        message = f"not checked: {setting.key_variable} is not set"
        return Finding("note", entry.name, message, setting.details())
    try:
        provider = build_provider(entry.name, environment)
    except PermanentError as error:
        return _failed(entry.name, error, setting)
    except ImportError as error:
        message = f"cannot be used: the package {error.name} is not installed"
        return Finding("note", entry.name, message, setting.details())
    return _Target(entry.name, provider, setting)


def _prepare_server(
    name: str, server: ServerDef, environment: Mapping[str, str]
) -> Finding | _Target:
    missing = missing_variables(server, environment)
    key = environment.get(server.key or "", "").strip()
    setting = _Setting(server.key, key, has_address=True)
    if missing:
        message = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set"
        return Finding("bad", name, message, {**setting.details(), "missing": missing})
    try:
        return _Target(name, build_server(name, server, environment), setting)
    except PermanentError as error:
        return _failed(name, error, setting)


def _read_setting(entry: ProviderEntry, environment: Mapping[str, str]) -> _Setting:
    key = environment.get(entry.key_variable or "", "").strip()
    has_address = bool(environment.get(entry.address_variable or ""))
    return _Setting(entry.key_variable, key, has_address)


async def _ask(target: _Target, findings: dict[str, Finding]) -> None:
    name, provider = target.name, target.provider
    started = trio.current_time()
    try:
        with trio.fail_after(ANSWER_MAX_S):
            models = await provider.models()
        findings[name] = _answered(target, models, trio.current_time() - started)
    except trio.TooSlowError:
        where = provider.endpoint or "it"
        message = (
            f"{where} has not answered within {duration_text(ANSWER_MAX_S)}; "
            "check that it runs, and that the address is right"
        )
        findings[name] = Finding("note", name, message, _details(target, answers=False))
    except ProviderError as error:
        findings[name] = _failed(name, error, target.setting, _details(target, answers=False))
    finally:
        with trio.move_on_after(_CLOSE_MAX_S, shield=True):
            await provider.aclose()


def _answered(target: _Target, models: tuple[str, ...], took_s: float) -> Finding:
    secrets = (target.setting.key,)
    shown = [
        safe_text(model, length_max=_NAME_CHARS, secrets=secrets) for model in models[:MODELS_SHOWN]
    ]
    answer_ms = round(took_s * 1000)
    message = f"{target.provider.endpoint} answers in {duration_text(took_s)}".lstrip()
    if target.setting.key:
        message += f", with the key in {target.setting.key_variable}"
    more = f" and {len(models) - len(shown)} more" if len(models) > len(shown) else ""
    listed = (
        f"{count_text(len(models), 'model')}: {', '.join(shown)}{more}"
        if models
        else "it has no models"
    )
    details = {
        **_details(target, answers=True),
        "answer_ms": answer_ms,
        "models": shown,
        "models_count": len(models),
    }
    return Finding("ok", target.name, f"{message}; {listed}", details)


def _failed(
    name: str,
    error: ProviderError,
    setting: _Setting,
    details: Mapping[str, Any] | None = None,
) -> Finding:
    """Level `bad` if the configuration is wrong; `note` if there is none, or no server answers."""
    is_wrong = setting.is_configured and error.kind in ("auth", "environment")
    message = setting.mask(error.message)
    if error.kind == "auth" and setting.key:
        message += f"; the key is from {setting.key_variable}"
    return Finding("bad" if is_wrong else "note", name, message, details or setting.details())


def _details(target: _Target, *, answers: bool) -> dict[str, Any]:
    return {
        "endpoint": target.provider.endpoint,
        **target.setting.details(),
        "answers": answers,
    }
