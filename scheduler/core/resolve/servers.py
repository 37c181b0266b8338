"""Resolves named servers: what a file defines under `servers`, over the preset with the same name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from orc.ledger.definition import RateDef, StepDef, TargetDef, walk_steps
from orc.ledger.servers.addresses import is_loopback
from orc.ledger.servers.server_def import ANY_MODEL, HeaderDef, PriceDef, ServerDef
from orc.ledger.stored_struct import dump, load
from orc.scheduler.core.resolve.targets import ProviderFacts, url_problem

if TYPE_CHECKING:
    from orc.scheduler.core.spec.prompt import HeaderSpec, ServerSpec

FREE = PriceDef(input=0.0, output=0.0)
_QUIRKS = ("limit_field", "json_mode", "tools_strict", "stream", "reasoning_field", "batch")
_QUIRKS_OF = {
    "openai": frozenset(_QUIRKS),
    "openai-responses": frozenset({"json_mode", "tools_strict", "batch"}),
    "anthropic": frozenset({"batch"}),
}
"""The deviations that an API has; other APIs have none."""
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SECRET_HEADER = re.compile(
    r"authorization|cookie|token|secret|password|(^|-)(api-?)?key$", re.IGNORECASE
)
_SECRET_QUERY = re.compile(r"^(api[-_]?)?key$|token|secret|password|^sig", re.IGNORECASE)
_OWN_HEADERS = frozenset(
    "accept accept-encoding connection content-encoding content-length content-type host te "
    "trailer transfer-encoding upgrade".split()
)
_PROVIDER_KEYS = frozenset({"provider", "base_url", "fallback"})


class KnownServer(Struct, frozen=True):
    """A server that a spec may name. `is_preset`: no file defines it.

    `unusable` says why it cannot be named here, such as a variable that is missing.
    """

    definition: ServerDef
    rate: RateDef | None = None
    concurrency: int | None = None
    is_preset: bool = False
    unusable: str = ""

    def facts(self, name: str, apis: Mapping[str, ProviderFacts]) -> ProviderFacts:
        """What a target may say of it; `apis` are the providers with their APIs."""
        api = apis.get(self.definition.api)
        return ProviderFacts(
            default_model=self.definition.default_model or "",
            model_variables=(model_variable(name),),
            has_address=False,
            is_server=True,
            unusable=self.unusable,
            embeds=api is not None and api.embeds,
            unread=frozenset() if api is None else api.unread,
            has_batches=self.definition.batch,
        )


BROKEN = KnownServer(ServerDef(api="openai", base_url="", default_model="unknown"))
"""Stands for a server with a mistake, which is reported where it is."""


def named_servers(document: object) -> set[str]:
    """The names under `servers` in a spec, which may have mistakes."""
    servers = document.get("servers") if isinstance(document, dict) else None
    return (
        {name for name in servers if isinstance(name, str)} if isinstance(servers, dict) else set()
    )


def model_variable(name: str) -> str:
    """The environment variable with the model of steps that name only the server."""
    return re.sub("[^A-Za-z0-9]", "_", name).upper() + "_MODEL"


def resolve_servers(
    written: Mapping[str, ServerSpec],
    known: Mapping[str, KnownServer],
    providers: Mapping[str, ProviderFacts],
) -> tuple[dict[str, KnownServer], list[tuple[str, str, str]]]:
    """The servers that a file defines, and its problems as (server, key or "", reason)."""
    found: dict[str, KnownServer] = {}
    problems = []
    for name, spec in written.items():
        facts = providers.get(name)
        if name in ("total", "local") or (facts is not None and not facts.is_server):
            what = "a word of `concurrency`" if facts is None else "a provider of orc"
            problems.append((name, "", f"{name!r} is {what}; give the server another name"))
            continue
        # A preset under this name is that of orc, whatever other files say.
        server = _resolve(spec, _preset(known.get(name)))
        reasons = list(server_problems(server, is_plain_allowed=spec.plain_http))
        reasons += _misplaced(spec, server)
        problems += [(name, key, reason) for key, reason in reasons]
        if not reasons:
            rate = None if spec.rate is None else RateDef(**spec.rate.model_dump())
            found[name] = KnownServer(server, rate, spec.concurrency)
    return found, problems


def _preset(known: KnownServer | None) -> ServerDef | None:
    return known.definition if known is not None and known.is_preset else None


def _resolve(spec: ServerSpec, preset: ServerDef | None) -> ServerDef:
    """The server as it is used. A `base_url` on another host than the preset's starts afresh."""
    base_url = (spec.base_url or "").rstrip("/")
    if preset is not None and base_url and _host(base_url) != _host(preset.base_url):
        preset = None
    given = spec.model_fields_set
    values = {} if preset is None else dump(preset)
    values.setdefault("api", "openai")
    values.setdefault("base_url", "")
    if spec.api is not None:
        values["api"] = spec.api
    if base_url:
        values["base_url"] = base_url
    if "key" in given:
        values["key"] = spec.key
    if "headers" in given:
        values["headers"] = {name: _header(value) for name, value in spec.headers.items()}
    if "query" in given:
        values["query"] = dict(spec.query)
    if spec.timeout is not None:
        values["timeout_s"] = spec.timeout
    if spec.wait_for_server is not None:
        values["wait_for_server_s"] = spec.wait_for_server
    if spec.prices is not None:
        values["prices"] = _prices(spec)
    if spec.model is not None:
        values["default_model"] = spec.model
    values |= {key: value for key in _QUIRKS if (value := getattr(spec, key)) is not None}
    return load(ServerDef, values)


def _header(value: str | HeaderSpec) -> str | HeaderDef:
    return value if isinstance(value, str) else HeaderDef(env=value.env, prefix=value.prefix)


def _prices(spec: ServerSpec) -> dict[str, PriceDef]:
    if spec.prices == "free" or spec.prices is None:
        return {ANY_MODEL: FREE}
    return {model: load(PriceDef, price.model_dump()) for model, price in spec.prices.items()}


def server_problems(
    server: ServerDef, *, is_plain_allowed: bool = False
) -> Iterator[tuple[str, str]]:
    """What is wrong with a server, as (key, reason)."""
    if not server.base_url:
        yield "", "needs `base_url`, the address of its API"
        return
    reason = url_problem(server.base_url)
    if reason:
        yield "base_url", reason
        return
    url = urlsplit(server.base_url)
    secret = next(server.variables(), None)
    if (
        secret
        and url.scheme == "http"
        and not (is_plain_allowed or is_loopback(url.hostname or ""))
    ):
        yield (
            "base_url",
            f"the value of {secret} would be sent to {url.hostname} over http, where anyone on the "
            "way can read it; use https, or set `plain_http: true`",
        )
    for name, value in server.headers.items():
        if reason := _header_problem(name, value):
            yield f"headers.{name}", reason
    for name in server.query:
        if not name or _SECRET_QUERY.search(name):
            yield (
                f"query.{name}",
                "the ledger records the query, so it must not hold a key; use `key`, or a header "
                "with `{env: VARIABLE}`",
            )


def _header_problem(name: str, value: str | HeaderDef) -> str:
    if not _TOKEN.fullmatch(name):
        return "is not a valid name of a header; use letters, digits and -"
    if name.lower() in _OWN_HEADERS:
        return "orc sets this header itself; remove it"
    text = value.prefix if isinstance(value, HeaderDef) else value
    if not (text.isascii() and text.isprintable()):
        return "a header can hold only printable ASCII characters"
    if isinstance(value, str) and _SECRET_HEADER.search(name):
        return "the ledger records this text; name a variable with the value: `{env: VARIABLE}`"
    return ""


def _misplaced(spec: ServerSpec, server: ServerDef) -> Iterator[tuple[str, str]]:
    """The keys that the API of the server does not have."""
    for key in _QUIRKS:
        if getattr(spec, key) is not None and key not in _QUIRKS_OF.get(server.api, ()):
            apis = " or ".join(api for api, keys in _QUIRKS_OF.items() if key in keys)
            shown = "json" if key == "json_mode" else key
            yield shown, f"is for servers with the API {apis}; this one has {server.api}"


def _host(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return "", None, None


def used_servers(
    steps: Iterable[StepDef], others: Iterable[str], known: Mapping[str, KnownServer]
) -> dict[str, KnownServer]:
    """The servers that the steps name, and `others`. All, if a name is known only later."""
    names = set(others)
    for step in walk_steps(steps):
        if not step.facts.calls_model:
            continue
        if not _PROVIDER_KEYS.isdisjoint(step.templates):
            return {name: server for name, server in known.items() if not server.unusable}
        names |= {target.provider for target in _targets(step)}
    return {name: known[name] for name in sorted(names) if name in known}


def _targets(step: StepDef) -> Iterator[TargetDef]:
    yield from step.targets()
    if step.job_target is not None:
        yield step.job_target
