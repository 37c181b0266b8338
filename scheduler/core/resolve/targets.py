"""What providers allow of a target: their names, their default models, the form of an address."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct, field

from orc.scheduler.core.errors import nearest


class ProviderFacts(Struct, frozen=True):
    """The facts about a provider or a named server that are needed to check a spec.

    `default_model` is empty if a target must name its model. `unusable` says why the server cannot
    be used here. `unread` are the kinds of files that its models cannot read. `embeds`: its API
    computes vectors, and `embedding_model` is its model for that, if a target need not name one.
    `has_batches`: it takes requests in batches.
    """

    default_model: str
    model_variables: tuple[str, ...]
    has_address: bool = True
    is_server: bool = False
    unusable: str = ""
    embeds: bool = False
    embedding_model: str = ""
    unread: frozenset[str] = frozenset()
    has_batches: bool = False


class TargetRules(Struct, frozen=True):
    """The providers and servers that a target may name, and the environment with their models."""

    providers: Mapping[str, ProviderFacts]
    environment: Mapping[str, str] = field(default_factory=dict)

    def default_model(self, provider: str, *, embeds: bool = False) -> str:
        """The model of a target that names none: for answers, or for vectors."""
        facts = self.providers.get(provider)
        if facts is None:
            return "unknown"
        if embeds:
            return facts.embedding_model
        for variable in facts.model_variables:
            if self.environment.get(variable):
                return self.environment[variable]
        return facts.default_model

    def provider_problem(self, provider: str, *, embeds: bool = False) -> str:
        """Why this is no provider or server that can be used; empty if it is one."""
        facts = self.providers.get(provider)
        if facts is None:
            return f"there is no provider {provider!r}{near_provider(provider, self.providers)}"
        if embeds and not facts.embeds:
            others = (name for name, other in self.providers.items() if other.embeds)
            known = ", ".join(sorted(name for name in others if not self.providers[name].is_server))
            return f"{provider!r} has no embeddings; use {known}, or a named server"
        return facts.unusable

    def model_problem(self, provider: str, model: str, *, embeds: bool = False) -> str:
        """Why the target has no model; empty if it has one."""
        if model != model.strip():
            return f"the name of the model must have no spaces around it; got {model!r}"
        facts = self.providers.get(provider)
        if model or facts is None:
            return ""
        if embeds:
            return f"{provider!r} has no default model for vectors; write {provider}/MODEL"
        variables = " or ".join(facts.model_variables)
        return f"{provider!r} has no default model; write {provider}/MODEL, or set {variables}"

    def file_problem(self, provider: str, kind: str) -> str:
        """Why a message for the provider cannot have a file of this kind; empty if it can."""
        facts = self.providers.get(provider)
        if facts is None or kind not in facts.unread:
            return ""
        others = (name for name, other in self.providers.items() if not other.is_server)
        able = ", ".join(sorted(name for name in others if kind not in self.providers[name].unread))
        return f"{provider!r} cannot read a file of the kind {kind}; use {able}, or send its text"

    def batch_problem(self, provider: str) -> str:
        """Why the target's calls cannot be submitted in batches; empty if they can."""
        facts = self.providers.get(provider)
        if facts is None or facts.has_batches:
            return ""
        able = [name for name, other in self.providers.items() if other.has_batches]
        by_spec = " and servers with `batch: true`"
        how = (
            "set `batch: true` under its name in `servers` if it does"
            if facts.is_server
            else (f"{', '.join(sorted(able))}{by_spec} do")
        )
        return f"{provider!r} takes no batches of requests; {how}"

    def address_problem(self, provider: str, base_url: str) -> str:
        """Why the provider cannot have this address; empty if it can.

        An address is recorded, so it must not contain credentials.
        """
        facts = self.providers.get(provider)
        if facts is not None and facts.is_server:
            return (
                f"{provider!r} is a named server, whose key is sent only to its own address; give "
                "this address to another server under `servers`"
            )
        if facts is not None and not facts.has_address:
            return f"{provider} has no server; remove base_url"
        return url_problem(base_url)


def switched_to(given: str | None, environment: Mapping[str, str]) -> str:
    """The provider that the caller names, by an option or a variable; empty if it is the spec's."""
    return given or environment.get(variable_that_switches(environment)) or ""


def variable_that_switches(environment: Mapping[str, str]) -> str:
    """The variable with the provider of the job: `MODEL_BACKEND`, the older name, comes second."""
    return "PROVIDER" if environment.get("PROVIDER") else "MODEL_BACKEND"


def near_provider(name: str, known: Mapping[str, ProviderFacts], *others: str) -> str:
    """A hint at the provider, the server or the other name that was perhaps meant."""
    # With all servers, the list of known names would be too long to read.
    return nearest(
        name,
        [*known, *others],
        or_known=[*(other for other, facts in known.items() if not facts.is_server), *others],
    )


def url_problem(text: str) -> str:
    """What is wrong with the address of a server; empty if nothing is."""
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
