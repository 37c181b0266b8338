"""The named servers that `orc doctor` asks: those of a spec, or those that are set up here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orc.cli.doctor.finding import Finding
from orc.cli.errors import UsageProblem
from orc.cli.jobs.caller.servers import known_servers
from orc.cli.jobs.prepare import Submission, prepare
from orc.ledger.files.written_paths import current_folder
from orc.ledger.servers.server_def import ServerDef
from orc.providers.servers.presets import PRESETS
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.resolve.known_steps import known_steps
from orc.scheduler.effects.targets import preset_servers, target_rules


def servers_of_spec(spec: Path, environment: Mapping[str, str]) -> dict[str, ServerDef]:
    """The servers that the steps of the spec may use. Raises SpecError, UsageProblem.

    A step whose provider is known only later may use each server that orc knows; of those that
    no file defines and no step names, the ones with a key or an address count.
    """
    submission = Submission(path=spec, needs_inputs=False)
    _, definition = prepare(submission, environment, executor_names=None)
    named = {definition.provider}
    for step in known_steps(definition, target_rules(environment, definition.servers)):
        named |= {step.provider or "", *(target.provider for target in step.fallback)}
    presets = preset_servers(environment)
    return {
        name: server
        for name, server in definition.servers.items()
        if name in named
        or name not in presets
        or presets[name].definition != server
        or _is_set_up(name, environment)
    }


def servers_here(environment: Mapping[str, str]) -> tuple[dict[str, ServerDef], list[Finding]]:
    """The servers in the user's file and in that of this folder, and the known ones with a key.

    The findings are what is wrong with the files.
    """
    try:
        known = known_servers(environment, current_folder() or Path("/"))
    except (SpecError, UsageProblem) as error:
        return {}, [Finding("bad", "servers", "; ".join(str(error).splitlines()))]
    found = {
        name: server.definition
        for name, server in known.items()
        if not server.is_preset or (not server.unusable and _is_set_up(name, environment))
    }
    return found, []


def _is_set_up(name: str, environment: Mapping[str, str]) -> bool:
    """Whether the variables of a known server say that it is used here."""
    preset = PRESETS[name]
    names = (preset.key, preset.address_variable)
    return any(environment.get(variable or "", "").strip() for variable in names)
