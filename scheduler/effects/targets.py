"""The providers that a target may name: those of the catalogue, as the core needs to know them."""

from __future__ import annotations

from collections.abc import Mapping

from orc.providers.catalogue import REGISTRY
from orc.scheduler.core.resolve.targets import ProviderFacts, TargetRules


def target_rules(environment: Mapping[str, str]) -> TargetRules:
    """The rules for targets, under the default models that the environment names."""
    facts = {
        entry.name: ProviderFacts(entry.default_model, entry.model_variables, entry.has_address)
        for entry in REGISTRY.values()
    }
    return TargetRules(facts, environment)
