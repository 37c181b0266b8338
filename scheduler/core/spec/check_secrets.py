"""Which variables a spec may name as secrets, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orc.scheduler.core.errors import Problem
from orc.scheduler.core.spec.check_files import ENV_NAME
from orc.scheduler.core.spec.model import JobSpec, StepSpec
from orc.scheduler.core.spec.yaml_source import Document, Path, dotted

_PASSED = ("PATH", "HOME", "LANG", "TMPDIR")


def secrets_in(steps: Mapping[str, StepSpec]) -> Iterator[str]:
    """The names that the steps, and those inside them, call secrets."""
    for step in steps.values():
        yield from step.secrets
        yield from secrets_in(step.steps or {})


def check_job_secrets(job: JobSpec, document: Document) -> Iterator[Problem]:
    """Problems of the secrets that every command is to get."""
    yield from _check_names(job.secrets, ("secrets",), document)
    for index, name in enumerate(job.secrets):
        if name in job.env or name in (job.defaults.env or {}):
            yield _is_in_env(name, ("secrets", index), document)


def check_secrets(
    path: Path, step: StepSpec, document: Document, job: JobSpec
) -> Iterator[Problem]:
    """Problems of a step's secrets, its own and those of the job."""
    where: Path = (*path, "secrets")
    yield from _check_names(step.secrets, where, document)
    env = {**job.env, **(job.defaults.env or {}), **(step.env or {})}
    for index, name in enumerate(step.secrets):
        if name in env:
            yield _is_in_env(name, (*where, index), document)
    for name in step.env or {}:
        if name in job.secrets:
            yield _is_in_env(name, (*path, "env", name), document)
    is_prompt = step.prompt is not None or step.messages is not None
    if step.secrets and is_prompt and not step.tools:
        yield Problem(
            f"{dotted(where)}: only commands and functions get secrets, and a prompt without "
            "`tools` has none",
            *document.place(where, key=True),
        )
    has_secrets = bool(step.secrets or job.secrets) and not is_prompt
    if has_secrets and step.cache not in (None, "off"):
        yield Problem(
            f"{dotted(path)}.cache: the work of a step with secrets cannot be looked up: whether "
            "it was done with the same ones is kept nowhere",
            *document.place((*path, "cache"), key=True),
        )


def _check_names(names: list[str], path: Path, document: Document) -> Iterator[Problem]:
    for index, name in enumerate(names):
        message = ""
        if not ENV_NAME.match(name):
            message = "not a variable's name; the value itself stands in the caller's environment"
        elif name in _PASSED or name.startswith("ORC_"):
            message = "every command gets this variable by itself, and it is no secret"
        elif name in names[:index]:
            message = "is named twice"
        if message:
            place = document.place((*path, index))
            yield Problem(f"{dotted((*path, index))}: {message}", *place)


def _is_in_env(name: str, path: Path, document: Document) -> Problem:
    return Problem(
        f"{dotted(path)}: {name} is under `env` and under `secrets`; keep one of them",
        *document.place(path),
    )
