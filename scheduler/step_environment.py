"""The environment variables of commands and functions: what moves with the work, and what does not.

The variables of the spec and of orc are part of the work. The values of secrets, the folders of
the performing side and what it passes on from its own environment are added there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orc.ledger.definition import JobDef
from orc.ledger.digest import clean_text
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import count_text
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.language.templates import has_template, parse_template
from orc.scheduler.core.language.values import to_text
from orc.scheduler.core.shell.code_variables import code_problem, is_code_variable
from orc.scheduler.core.shell.insertion import VALUE_BYTES_MAX, check_words, parse_shell
from orc.scheduler.inputs.values import InputReads
from orc.scheduler.scopes import Scopes


class StepEnvironment:
    """The variables of the steps of one job; `caller` is the environment of this process."""

    def __init__(
        self, state: JobState, *, caller: Mapping[str, str], scopes: Scopes, job_id: str
    ) -> None:
        self._state = state
        self._caller = caller
        self._scopes = scopes
        self._job_id = job_id

    def movable(self, step_id: str) -> dict[str, str]:
        """The variables that are the same wherever the step is performed."""
        return self.named(step_id) | {
            "ORC_JOB_ID": self._job_id,
            "ORC_STEP": step_id,
            "ORC_ATTEMPT": str(self._state.steps[step_id].attempts),
        }

    def named(self, step_id: str) -> dict[str, str]:
        """The variables that the spec's `env` gives a command or function."""
        env = render_env(self._state.definition.env, {}, caller=self._caller)
        own = self._state.graph.steps[step_id].env
        return env | render_env(own, self._scopes.inside(step_id), caller=self._caller)

    def secrets(self, step_id: str) -> dict[str, str]:
        """The values of the step's secrets. Raises TemplateError if one is not set."""
        return read_secrets(self._state.graph.steps[step_id].secrets, caller=self._caller)


def read_secrets(names: Iterable[str], *, caller: Mapping[str, str]) -> dict[str, str]:
    """The values of the secrets. Raises TemplateError if one is not set."""
    found = {}
    for name in names:
        if name not in caller:
            raise TemplateError(
                f"the secret {name} is not set; set the environment variable {name} and resume"
            )
        found[name] = clean_text(caller[name])
    return found


def job_variables(
    definition: JobDef, reads: InputReads, *, caller: Mapping[str, str], mask: Mask, job_id: str
) -> dict[str, Any]:
    """The names of a template that belong to the job as a whole."""
    return {
        "project": definition.project,
        "task_description": definition.task_description,
        "inputs": reads.values(definition.inputs, definition.read),
        "env": mask.value(render_env(definition.env, {}, caller=caller)),
        "job": {"id": job_id},
    }


def render_command(
    run: str | tuple[str, ...], scope: Mapping[str, Any]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """A command's arguments, and the variables with the values in its text. Raises TemplateError.

    A value never becomes a part of a shell's text.
    """
    if isinstance(run, str):
        script = parse_shell(run)
        variables = {
            name: variable(to_text(expression.evaluate(scope)), expression.source)
            for name, expression in script.variables
        }
        return ("/bin/sh", "-ec", script.script), variables
    check_words(run)
    words = (variable(to_text(parse_template(word).render(scope)), word) for word in run)
    return tuple(words), {}


def render_env(
    env: Mapping[str, str | None], scope: Mapping[str, Any], *, caller: Mapping[str, str]
) -> dict[str, str]:
    """The variables of a spec's `env`. One without a text is passed on from the caller."""
    found = {}
    for name, value in env.items():
        if value is not None:
            if has_template(value) and is_code_variable(name):
                # A job of an older version, or an imported one, may have such a definition.
                raise TemplateError(f"env.{name}: {code_problem(name)}")
            text = to_text(parse_template(value).render(scope))
            found[name] = variable(text, name) if scope else text
        elif name in caller:
            found[name] = clean_text(caller[name])
    return found


def variable(text: str, source: str) -> str:
    """The text, if it fits an environment variable or a command's argument. Raises TemplateError."""
    if "\0" in text:
        raise TemplateError(
            f"the value of {source} contains a NUL byte; write it to a file (`files:`) and read the "
            "file"
        )
    if len(text.encode("utf-8", "replace")) > VALUE_BYTES_MAX:
        raise TemplateError(
            f"the value of {source} has more than {count_text(VALUE_BYTES_MAX, 'byte')}; write it "
            "to a file (`files:`) and read the file"
        )
    return text
