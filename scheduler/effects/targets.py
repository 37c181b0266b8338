"""The providers that a target may name: those of the catalogue, as the core needs to know them."""

from __future__ import annotations

from collections.abc import Mapping

from orc.ledger.servers.server_def import ANY_MODEL, ServerDef
from orc.providers.catalogue import REGISTRY
from orc.providers.servers.presets import PRESETS, Preset
from orc.scheduler.core.resolve.servers import FREE, KnownServer, server_problems
from orc.scheduler.core.resolve.targets import ProviderFacts, TargetRules

_NO_SERVERS: Mapping[str, ServerDef] = {}


def target_rules(
    environment: Mapping[str, str], servers: Mapping[str, ServerDef] = _NO_SERVERS
) -> TargetRules:
    """The rules for targets, under the default models that the environment names.

    `servers` are those of the job's definition.
    """
    facts = provider_facts()
    facts |= {name: KnownServer(server).facts(name, facts) for name, server in servers.items()}
    return TargetRules(facts, environment)


def provider_facts() -> dict[str, ProviderFacts]:
    """The facts about the providers of the catalogue."""
    return {
        entry.name: ProviderFacts(
            entry.default_model,
            entry.model_variables,
            entry.has_address,
            embeds=entry.embeds,
            unread=entry.unread,
            embedding_model=entry.embedding_model,
            has_batches=entry.has_batches,
        )
        for entry in REGISTRY.values()
    }


def preset_servers(environment: Mapping[str, str]) -> dict[str, KnownServer]:
    """The servers that orc knows, at the addresses that the environment gives them."""
    return {name: _preset_server(preset, environment) for name, preset in PRESETS.items()}


def _preset_server(preset: Preset, environment: Mapping[str, str]) -> KnownServer:
    own = environment.get(preset.address_variable, "").strip().rstrip("/")
    server = ServerDef(
        api=preset.api,
        base_url=own or preset.base_url,
        key=preset.key,
        prices={ANY_MODEL: FREE} if preset.is_free else None,
        default_model=preset.default_model or None,
        limit_field=preset.limit_field,
        json_mode=preset.json_mode,
        tools_strict=preset.tools_strict,
        stream=preset.stream,
        reasoning_field=preset.reasoning_field,
        batch=preset.batch,
    )
    unusable = ""
    if not server.base_url:
        unusable = (
            f"{preset.address_variable} is not set: it must hold the address of your {preset.name!r} "
            "server"
        )
    else:
        for _, reason in server_problems(server):
            unusable = f"{preset.address_variable}: {reason}"
    return KnownServer(server, is_preset=True, unusable=unusable)
