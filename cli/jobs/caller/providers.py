"""Builds the providers of a job before it runs, so that a missing key is found before any cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orc.cli.errors import EnvironmentProblem
from orc.cli.jobs.caller.replies import build_replay
from orc.ledger.definition import REPLAY, JobDef, StepDef, TargetDef
from orc.ledger.servers.server_def import ServerDef
from orc.providers import PermanentError, Provider, build_provider, build_server
from orc.providers.catalogue import SECTIONS
from orc.providers.unavailable import Unavailable
from orc.scheduler.core.resolve.known_steps import known_steps
from orc.scheduler.effects.targets import target_rules


def build_providers(
    definition: JobDef,
    environment: Mapping[str, str],
    *,
    replies: Any,
    override: str | None = None,
) -> dict[str, Provider]:
    """The providers of the job's steps, by server. Raises UsageProblem, EnvironmentProblem.

    A provider that is used only as a fallback may be unavailable. A call to it then fails. One that
    is known only when a step is ready is built then (`build_late`).
    """
    steps = known_steps(definition, target_rules(environment, definition.servers))
    found_routes = (targets_of(step, override) for step in steps if _has_known_server(step))
    # Thousands of steps may have the same.
    routes = {route for route in found_routes if route}
    targets = {target for route in routes for target in route}
    needed = {route[0].server for route in routes}
    found: dict[str, Provider] = {}
    for target in sorted(targets, key=lambda target: target.name):
        if target.server in found:
            continue
        if target.provider == REPLAY:
            found[target.server] = build_replay(replies)
            continue
        try:
            found[target.server] = _build(target, definition.servers, environment)
        except PermanentError as error:
            if target.server in needed:
                raise EnvironmentProblem(error.message) from error
            found[target.server] = Unavailable(target.provider, error)
    return found


def _build(
    target: TargetDef, servers: Mapping[str, ServerDef], environment: Mapping[str, str]
) -> Provider:
    server = servers.get(target.provider)
    if server is not None:
        return build_server(target.provider, server, environment)
    return build_provider(target.provider, environment, base_url=target.base_url)


def build_late(definition: JobDef, environment: Mapping[str, str], target: TargetDef) -> Provider:
    """The provider of a target that was not known before. One that cannot be used fails its calls."""
    if target.provider == REPLAY:
        said = "recorded replies are read before the run; choose them by --provider replay"
        return Unavailable(REPLAY, PermanentError("environment", said))
    try:
        return _build(target, definition.servers, environment)
    except PermanentError as error:
        return Unavailable(target.provider, error)


def _has_known_server(step: StepDef) -> bool:
    if not step.templates or step.provider == REPLAY:
        return True
    return step.templates.keys().isdisjoint(("provider", "base_url"))


def unavailable_fallbacks(providers: Mapping[str, Provider]) -> Iterator[str]:
    """A notice for each fallback that cannot be used, with the reason."""
    for provider in providers.values():
        if isinstance(provider, Unavailable):
            yield f"the fallback {provider.name} cannot be used: {provider.reason}"


def targets_of(step: StepDef, override: str | None = None) -> tuple[TargetDef, ...]:
    """The targets of the step in order; the provider `override` replaces all of them."""
    if override is None or not step.facts.calls_model:
        return step.targets()
    return (TargetDef(provider=override, model=step.model or ""),)


def find_dropped(
    definition: JobDef, providers: Mapping[str, Provider], environment: Mapping[str, str]
) -> Iterator[tuple[str, TargetDef, list[str]]]:
    """For each step and target, the parameters of the step that the provider does not support."""
    for step in known_steps(definition, target_rules(environment, definition.servers)):
        asked = {*step.params, *step.templates.get("params", {})} - set(SECTIONS)
        for target in targets_of(step) if _has_known_server(step) else ():
            provider = providers[target.server]
            dropped = sorted(asked - provider.params)
            if dropped and not isinstance(provider, Unavailable):
                yield step.id, target, dropped
