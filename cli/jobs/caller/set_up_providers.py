"""Finds the provider of a run whose spec and caller name none: one that is set up on this machine.

Nothing is asked over the network. A key counts, an address that the user set counts, and a server on
this machine counts if it accepts a connection.
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.cli.jobs.caller.replies import find_replies_beside
from orc.ledger.definition import REPLAY, JobDef, walk_steps
from orc.ledger.kinds import facts_of
from orc.ledger.servers.addresses import is_loopback
from orc.providers.catalogue import REGISTRY, ProviderEntry
from orc.providers.servers.presets import PRESETS
from orc.scheduler.core.resolve.servers import model_variable
from orc.scheduler.core.resolve.targets import switched_to

if TYPE_CHECKING:
    from orc.scheduler.core.spec.model import StepSpec
    from orc.scheduler.core.spec.parse import Spec

CONNECT_MAX_S = 0.5


class SetUpProvider(Struct, frozen=True):
    """A provider that is set up, and how that was seen."""

    provider: str
    because: str


def set_up_providers(environment: Mapping[str, str]) -> Iterator[SetUpProvider]:
    """The providers that are set up on this machine, in the order in which a spec prefers them."""
    for entry in _vendors():
        because = _because(entry, environment)
        if because:
            yield SetUpProvider(entry.name, because)
    for preset in PRESETS.values():
        # A server that only its address or its place on this machine would show is not guessed.
        has_model = preset.default_model or environment.get(model_variable(preset.name))
        if preset.key and has_model and environment.get(preset.key, "").strip():
            yield SetUpProvider(preset.name, f"{preset.key} is set")


def names_no_provider(spec: Spec, given: str | None, environment: Mapping[str, str]) -> bool:
    """Whether a step of the spec asks a model, and neither spec nor caller says which provider."""
    job = spec.job
    if switched_to(given, environment) or job.provider or job.defaults.provider:
        return False
    return _asks_default(spec.steps)


def choose_provider(environment: Mapping[str, str], spec: Path | None) -> tuple[str, str]:
    """The provider of a run that names none, and the line that says so.

    `spec` is the spec's file. Raises EnvironmentProblem if no provider is set up, and no recorded
    replies are beside the spec, and UsageProblem if those are of another user.
    """
    found = list(set_up_providers(environment))
    if found:
        first, *others = found
        more = f" (also set up: {', '.join(other.provider for other in others)})" if others else ""
        return first.provider, (
            f"the spec names no provider; using {first.provider}, since {first.because}{more}"
        )
    if (beside := find_replies_beside(spec)) is not None:
        return REPLAY, (
            "the spec names no provider, and none is set up here; using the recorded replies in "
            f"{beside.name}"
        )
    keys = " or ".join(entry.key_variable for entry in _vendors() if entry.key_variable)
    raise EnvironmentProblem(
        "the spec names no provider, and none is set up here: start Ollama with `ollama serve`, or "
        f"set {keys}, or use recorded replies with --provider replay --replies FILE"
    )


def other_providers(
    definition: JobDef, spec: Path | None, environment: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """What `--provider` may name in place of what the job asks in vain, and a sentence about it.

    The first other provider that is set up, unless steps name their own, which the option does not
    replace, and the recorded replies beside the file `spec`.
    """
    steps = [step for step in walk_steps(definition.steps) if step.facts.calls_model]
    used = {target.provider for step in steps for target in step.targets()}
    if all(step.provider == definition.provider for step in steps):
        for other in set_up_providers(environment):
            if other.provider not in used:
                yield other.provider, f"{other.provider} is set up here ({other.because})"
                break
    # Replies of another user are refused, and so are not offered.
    with suppress(UsageProblem):
        if REPLAY not in used and (beside := find_replies_beside(spec)) is not None:
            yield REPLAY, f"recorded replies are in {beside.name}"


def _vendors() -> Iterator[ProviderEntry]:
    """The providers that ask a model; one that is billed as another is another API of its vendor."""
    entries = REGISTRY.values()
    return (entry for entry in entries if not entry.is_recorded and entry.billed_as is None)


def _because(entry: ProviderEntry, environment: Mapping[str, str]) -> str:
    """Why the provider counts as set up; empty if it does not."""
    if entry.key_variable and environment.get(entry.key_variable, "").strip():
        return f"{entry.key_variable} is set"
    address = environment.get(entry.address_variable or "", "").strip()
    if entry.default_address is not None:
        return _because_it_listens(entry, address or entry.default_address)
    if address:
        return f"{entry.address_variable} is set"
    named = [name for name in entry.model_variables if environment.get(name)]
    if entry.import_name and named and importlib.util.find_spec(entry.import_name):
        return f"{named[0]} is set"
    return ""


def _because_it_listens(entry: ProviderEntry, address: str) -> str:
    try:
        parts = urlsplit(address if "//" in address else f"http://{address}")
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        # The provider says what is wrong with the address if the spec names it.
        return ""
    if not is_loopback(host):
        return f"{entry.address_variable} is set"
    with suppress(OSError, UnicodeError), socket.create_connection((host, port), CONNECT_MAX_S):
        return f"a server answers at {host}:{port}"
    return ""


def _asks_default(steps: Mapping[str, StepSpec]) -> bool:
    # A command with a spec has loaded the models; the others need none of them.
    from orc.scheduler.core.spec.model import kind_of

    return any(
        (step.provider is None and facts_of(kind_of(step)).calls_model)
        or (step.steps is not None and _asks_default(step.steps))
        for step in steps.values()
    )
