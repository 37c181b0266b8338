"""What providers allow of a target: their names, their default models, the form of an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from orc.scheduler.core.errors import nearest


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """The facts about a provider that are needed to check a spec."""

    default_model: str
    model_variables: tuple[str, ...]
    has_address: bool = True


@dataclass(frozen=True, slots=True)
class TargetRules:
    """The providers that a target may name, and the environment with their default models."""

    providers: Mapping[str, ProviderFacts]
    environment: Mapping[str, str] = field(default_factory=dict)

    def default_model(self, provider: str) -> str:
        """The model of a target that names none."""
        facts = self.providers.get(provider)
        if facts is None:
            return "unknown"
        for variable in facts.model_variables:
            if self.environment.get(variable):
                return self.environment[variable]
        return facts.default_model

    def provider_problem(self, provider: str) -> str:
        """Why this is no provider; empty if it is one."""
        if provider in self.providers:
            return ""
        return f"there is no provider {provider!r}{nearest(provider, self.providers)}"

    def address_problem(self, provider: str, base_url: str) -> str:
        """Why the provider cannot have this address; empty if it can.

        An address is recorded, so it must not contain credentials.
        """
        facts = self.providers.get(provider)
        if facts is not None and not facts.has_address:
            return f"{provider} has no server; remove base_url"
        return _url_problem(base_url)


def _url_problem(text: str) -> str:
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        return "it is not a valid URL"
    if url.scheme not in ("http", "https") or not host:
        return "it must look like http://localhost:8080/v1"
    if url.username or url.password:
        return (
            "it must not contain a user name or password, because the ledger records it; put the "
            "key into the environment"
        )
    if url.query or url.fragment:
        return "it must not have a query or a fragment"
    return ""
