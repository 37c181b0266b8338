"""Finds the named servers that a spec may use without defining them: in files, and the presets.

A spec's own servers come first, then those of `orc.yaml` in its folder, then those of the user's
file, then the presets. Each file's entry for a name stands alone: nothing is mixed between files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orc.cli.jobs.caller.spec_files import read_spec_file, refuse_planted
from orc.scheduler.core.errors import Problem, SpecError
from orc.scheduler.core.resolve.servers import KnownServer, resolve_servers
from orc.scheduler.core.source.paths import dotted
from orc.scheduler.core.source.yaml_source import Document, parse_yaml
from orc.scheduler.core.spec.model import JobSpec
from orc.scheduler.core.spec.parse import parse_servers
from orc.scheduler.core.spec.prompt import ServerSpec
from orc.scheduler.effects.targets import preset_servers, provider_facts

PROJECT_FILE = "orc.yaml"
USER_FILE = "servers.yaml"


def known_servers(
    environment: Mapping[str, str], folder: Path, spec: Path | None = None
) -> dict[str, KnownServer]:
    """The servers that a spec in the folder may name. `spec` is its file, if it is one.

    Raises SpecError and UsageProblem for a file that cannot be used.
    """
    presets = preset_servers(environment)
    found: dict[str, KnownServer] = {}
    user, project = user_file(environment), folder / PROJECT_FILE
    if user is not None and os.path.lexists(user):
        text, name = read_spec_file(user)
        found |= _resolved(*parse_servers(text, source_name=name), name, presets)
    if os.path.lexists(project) and not _is_same(project, spec):
        refuse_planted(project, spec, "where requests and keys go")
        text, name = read_spec_file(project)
        if _has_servers(text, name):
            found |= _resolved(*parse_servers(text, source_name=name), name, presets)
    return {**presets, **found}


def user_file(environment: Mapping[str, str]) -> Path | None:
    """The file with the user's own servers; None if there is no place for it."""
    config = environment.get("XDG_CONFIG_HOME", "")
    if config.startswith("/"):
        return Path(config, "orc", USER_FILE)
    home = environment.get("HOME", "")
    return Path(home, ".config", "orc", USER_FILE) if home.startswith("/") else None


def _is_same(path: Path, spec: Path | None) -> bool:
    try:
        return spec is not None and path.samefile(spec)
    except OSError:
        return False


def _has_servers(text: str, name: str) -> bool:
    """Whether a file is one of servers, and no other spec that happens to have its name."""
    value = parse_yaml(text, source_name=name).value
    return not isinstance(value, dict) or (
        value.keys().isdisjoint(JobSpec.model_fields.keys() - {"servers"})
    )


def _resolved(
    servers: Mapping[str, ServerSpec],
    document: Document,
    name: str,
    presets: Mapping[str, KnownServer],
) -> dict[str, KnownServer]:
    found, wrong = resolve_servers(servers, presets, provider_facts())
    if wrong:
        raise SpecError(name, [_problem(document, *each) for each in wrong])
    return found


def _problem(document: Document, server: str, key: str, reason: str) -> Problem:
    path = ("servers", server, *(key.split(".", 1) if key else ()))
    inside = path if isinstance(document.value, dict) and "servers" in document.value else path[1:]
    return Problem(f"{dotted(path)}: {reason}", *document.place(inside, key=True))
