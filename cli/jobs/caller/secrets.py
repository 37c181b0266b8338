"""The secrets of a job: reads them from the environment, and hides them everywhere.

A ledger is opened with `keys_mask`, and `hide_secrets` adds the secrets of a job; the runner takes
the mask from the ledger. Both also give it to `cli/output_mask.py`, which hides the secrets in
everything that the process prints.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from msgspec import ValidationError
from msgspec.structs import replace

from orc.cli.env_file import secrets_of_env_file
from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.cli.output_mask import widen_output_mask
from orc.ledger import Ledger, LedgerReader
from orc.ledger.definition import JobDef, dump_job, walk_steps
from orc.ledger.digest import canonical_json
from orc.ledger.secrets.masking import SECRET_CHARS_MIN, Mask
from orc.ledger.servers.server_def import ServerDef
from orc.ledger.stored_struct import load
from orc.providers.keys import read_keys
from orc.scheduler.core.errors import Problem, SpecError
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.graph import build_graph, reachable


def hide_secrets(
    ledger: Ledger, definition: JobDef, environment: Mapping[str, str], *, steps: Collection[str]
) -> Mask:
    """Hide the job's secrets in everything that is stored and printed; the mask.

    `steps` are the ids of the outermost steps that will run. Raises EnvironmentProblem if a secret
    of one of them is missing.
    """
    return ledger.widen_mask(read_mask(definition, environment, steps=steps))


def mask_of_jobs(
    ledger: LedgerReader, job_ids: Iterable[str], environment: Mapping[str, str]
) -> Mask:
    """The mask of the secrets that any spec of the jobs has named, set for the output too.

    Unlike `read_mask`, it needs no definition that can be loaded: a removal must also work on
    damaged jobs.
    """
    # Imported here, since a run removes nothing.
    from orc.ledger.removal import specs

    names = {
        name
        for job_id in job_ids
        for _, content in specs(ledger.connection, job_id)
        for name in _names_in(content)
    }
    mask = Mask({name: environment[name] for name in names & environment.keys()})
    widen_output_mask(mask)
    return mask


def keys_mask(environment: Mapping[str, str]) -> Mask:
    """The mask of all providers' keys, set for the output too."""
    mask = Mask(read_keys(environment) | secrets_of_env_file())
    widen_output_mask(mask)
    return mask


def read_mask(
    definition: JobDef, environment: Mapping[str, str], *, steps: Collection[str]
) -> Mask:
    """The mask of the job's secrets and of all providers' keys, set for the output too.

    See `hide_secrets`.
    """
    values = read_keys(environment) | secrets_of_env_file()
    for server in definition.servers.values():
        # Whether one is missing is found when the server is built.
        values |= {name: environment.get(name, "") for name in server.variables()}
    for step, names in _secrets_of(definition):
        for name in names:
            value = environment.get(name, "")
            reason = _unusable(value)
            if not reason:
                values[name] = value
            elif step in steps or (not step and steps):
                who = f"step {step!r}" if step else "a hook"
                raise EnvironmentProblem(f"{who} needs the secret {name}, and {reason}")
    mask = Mask(values)
    widen_output_mask(mask)
    return mask


def steps_to_run(state: JobState, only: Iterable[str] = ()) -> set[str]:
    """The outermost steps that a resume may run: those that have not succeeded.

    With `only`, these are limited to the named steps and the steps that they need.
    """
    left = {
        step.id for step in state.definition.steps if state.steps[step.id].status != "succeeded"
    }
    wanted = set(only)
    return left & reachable(state.graph.needs, wanted) if wanted else left


def needed_steps(definition: JobDef, until: Iterable[str]) -> set[str]:
    """The outermost steps that a new job will run: all, or those in `until` and what they need."""
    graph = build_graph(definition.steps)
    return reachable(graph.needs, until) if until else set(graph.steps)


def hide_in_inputs(mask: Mask, definition: JobDef) -> JobDef:
    """The job with secrets hidden in its inputs."""
    hidden = mask.value(definition.inputs)
    if hidden == definition.inputs:
        return definition
    return replace(definition, inputs=hidden)


def refuse_secrets_in_spec(
    mask: Mask, definition: JobDef, text: str, source_name: str, files: Iterable[tuple[str, bytes]]
) -> None:
    """Raise SpecError for a spec that contains the value of a secret: its text is stored unmasked."""
    if not mask:
        return
    problems = [
        # Without line and column of the problem, since the line would be printed.
        Problem(f"line {number} contains {_secret_hint(name)}")
        for number, line in enumerate(text.splitlines(), start=1)
        if (name := mask.find(line)) is not None
    ]
    for file, content in files:
        if (name := mask.find(content)) is not None:
            problems.append(Problem(f"{file} contains {_secret_hint(name)}"))
    if not problems:
        for whole in (text, canonical_json(dump_job(definition))):
            if not problems and (name := mask.find(whole)) is not None:
                problems.append(Problem(f"the spec contains {_secret_hint(name)}"))
    if problems:
        raise SpecError(source_name, problems)


def _secret_hint(name: str) -> str:
    return (
        f"the value of {name}, which would be stored with the job; remove it, and name the variable "
        "under `secrets` of the steps that need it"
    )


def refuse_secrets_in_paths(mask: Mask, paths: Mapping[str, str]) -> None:
    """Raise UsageProblem for a path that contains the value of a secret.

    `paths` has a path for each description of what it is. A resume needs the path as it is, so that
    it cannot be masked in the ledger.
    """
    for what, path in paths.items():
        name = mask.find(path)
        if name is not None:
            raise UsageProblem(
                f"the path of {what} contains the value of {name}, which would be stored with the "
                "job; rename the folder or use another one"
            )


def _names_in(content: Any) -> Iterator[str]:
    """The secrets that the steps and hooks of a resolved spec, as JSON, name."""
    if not isinstance(content, dict):
        return
    names = content.get("secrets")
    if isinstance(names, list):
        yield from (name for name in names if isinstance(name, str))
    hooks = content.get("hooks")
    if isinstance(hooks, dict):
        for hook in hooks.values():
            yield from _names_in(hook)
    servers = content.get("servers")
    for server in servers.values() if isinstance(servers, dict) else ():
        with suppress(ValidationError):
            yield from load(ServerDef, server).variables()
    steps = content.get("steps")
    if isinstance(steps, list):
        for step in steps:
            yield from _names_in(step)


def _secrets_of(definition: JobDef) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The outermost steps, each with the secrets of all steps inside it; hooks as the step ''."""
    for hook in definition.hooks.values():
        yield "", hook.secrets
    for step in definition.steps:
        yield step.id, step.secrets
        for member in walk_steps(step.steps) if step.steps else ():
            yield step.id, member.secrets


def _unusable(value: str) -> str:
    if not value.strip():
        return "it is not set in the environment"
    if len(value.strip()) < SECRET_CHARS_MIN:
        return (
            f"its value is shorter than {SECRET_CHARS_MIN} characters: hiding it would change "
            "ordinary text that contains these characters; use a longer secret"
        )
    return ""
