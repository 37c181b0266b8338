"""The secrets of a job: read from the environment of the process that runs it, and then hidden.

`protect` alone tells a ledger, and through it the runner, what to hide. `cli/hidden.py` is told
at the same time: it hides them in all that the process prints.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from orc.cli.errors import EnvironmentProblem
from orc.cli.hidden import hide
from orc.ledger import Ledger
from orc.ledger.definition import JobDef, dump_job, walk_steps
from orc.ledger.digest import canonical_json
from orc.ledger.masking import SECRET_CHARS_MIN, Mask
from orc.providers.registry import read_keys
from orc.scheduler.core.errors import Problem, SpecError
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.fold.graph import build_graph, reachable


def protect(
    ledger: Ledger, definition: JobDef, environment: Mapping[str, str], *, steps: Collection[str]
) -> Mask:
    """Hide the job's secrets from the ledger, and in what this process prints.

    `steps` are those that will run, by the ids of the outermost ones; what they name
    has to be there. Raises EnvironmentProblem.
    """
    mask = read_mask(definition, environment, steps=steps)
    ledger.mask = mask
    return mask


def read_mask(
    definition: JobDef, environment: Mapping[str, str], *, steps: Collection[str]
) -> Mask:
    """What hides the job's secrets, and the keys of providers; see `protect`."""
    values = read_keys(environment)
    for step, names in _secrets_of(definition):
        for name in names:
            value = environment.get(name, "")
            reason = _unusable(value)
            if not reason:
                values[name] = value
            elif step in steps:
                raise EnvironmentProblem(f"step {step!r} needs the secret {name}, and {reason}")
    mask = Mask(values)
    hide(mask)
    return mask


def steps_to_run(state: JobState, only: Iterable[str] = ()) -> set[str]:
    """The outermost steps that a resume may run: those without success; of `only`, what they need."""
    names = {step.id for step in state.definition.steps}
    wanted = set(only)
    if wanted:
        names &= reachable(state.graph.needs, wanted)
    return {name for name in names if state.steps[name].status != "succeeded"}


def needed_steps(definition: JobDef, until: Iterable[str]) -> set[str]:
    """The outermost steps that a new job may run."""
    graph = build_graph(definition.steps)
    return reachable(graph.needs, until) if until else set(graph.steps)


def hide_in_inputs(mask: Mask, definition: JobDef) -> JobDef:
    """The job without secrets in what its caller gave it."""
    hidden = mask.value(definition.inputs)
    if hidden == definition.inputs:
        return definition
    return definition.model_copy(update={"inputs": hidden})


def refuse_written_out(
    mask: Mask, definition: JobDef, text: str, source_name: str, files: Iterable[tuple[str, bytes]]
) -> None:
    """Refuse a spec that has a secret's value in it: its text is kept as it is. Raises SpecError."""
    problems = [
        # Without its place: nobody is to be shown that line.
        Problem(f"line {number} has {_written_out(name)}")
        for number, line in enumerate(text.splitlines(), start=1)
        if (name := mask.find(line)) is not None
    ]
    for file, content in files:
        if (name := mask.find(content)) is not None:
            problems.append(Problem(f"{file} has {_written_out(name)}"))
    if not problems:
        for whole in (text, canonical_json(dump_job(definition))):
            if not problems and (name := mask.find(whole)) is not None:
                problems.append(Problem(f"the spec has {_written_out(name)}"))
    if problems:
        raise SpecError(source_name, problems)


def _written_out(name: str) -> str:
    return (
        f"the value of {name} in it, which would be kept with the job; take it out, and name the "
        "variable under `secrets` of the steps that need it"
    )


def _secrets_of(definition: JobDef) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The outermost steps, each with the secrets of all that is inside it."""
    for step in definition.steps:
        for member in walk_steps((step,)):
            yield step.id, member.secrets


def _unusable(value: str) -> str:
    if not value.strip():
        return "it is not set in the environment"
    if len(value.strip()) < SECRET_CHARS_MIN:
        return (
            f"its value is shorter than {SECRET_CHARS_MIN} characters: wherever that stood in a "
            "text, it would be hidden"
        )
    return ""
