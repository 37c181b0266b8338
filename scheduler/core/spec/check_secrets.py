"""Checks the `secrets` of a spec: which variables may be secrets, and in which steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orc.ledger.kinds import facts_of
from orc.scheduler.core.errors import Problem
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.source.yaml_source import Document
from orc.scheduler.core.spec.check_files import ENV_NAME
from orc.scheduler.core.spec.hooks import HookSpec
from orc.scheduler.core.spec.model import JobSpec, StepSpec, kind_of

_PASSED = ("PATH", "HOME", "LANG", "TMPDIR")


def secrets_in(steps: Mapping[str, StepSpec]) -> Iterator[str]:
    """The names of the secrets of the steps and their members."""
    for step in steps.values():
        yield from step.secrets
        yield from secrets_in(step.steps or {})


def check_job_secrets(job: JobSpec, document: Document) -> Iterator[Problem]:
    """Problems of the job's secrets."""
    yield from _check_names(job.secrets, ("secrets",), document)
    for index, name in enumerate(job.secrets):
        if name in job.env or name in (job.defaults.env or {}):
            yield _is_in_env(name, ("secrets", index), document)


def check_hook_secrets(
    path: Path, hook: HookSpec, document: Document, job: JobSpec
) -> Iterator[Problem]:
    """Problems of a hook's secrets, and of the job's secrets in this hook."""
    yield from _check_names(hook.secrets, (*path, "secrets"), document)
    for index, name in enumerate(hook.secrets):
        if name in job.env or name in hook.env:
            yield _is_in_env(name, (*path, "secrets", index), document)
    for name in hook.env:
        if name in job.secrets:
            yield _is_in_env(name, (*path, "env", name), document)


def check_secrets(
    path: Path, step: StepSpec, document: Document, job: JobSpec
) -> Iterator[Problem]:
    """Problems of a step's secrets, and of the job's secrets in this step."""
    where: Path = (*path, "secrets")
    yield from _check_names(step.secrets, where, document)
    env = {**job.env, **(job.defaults.env or {}), **(step.env or {})}
    for index, name in enumerate(step.secrets):
        if name in env:
            yield _is_in_env(name, (*where, index), document)
    for name in step.env or {}:
        if name in job.secrets:
            yield _is_in_env(name, (*path, "env", name), document)
    facts = facts_of(kind_of(step))
    if step.secrets and facts.writes_text and not step.tools:
        yield Problem(
            f"{dotted(where)}: secrets are passed to commands and functions only; a prompt without "
            "`tools` has neither; remove it",
            *document.place(where, key=True),
        )
    has_secrets = bool(step.secrets or job.secrets) and not facts.calls_model
    if has_secrets and step.cache not in (None, "off"):
        yield Problem(
            f"{dotted(path)}.cache: a step with secrets cannot use the cache, because the ledger "
            "does not record the values of secrets; remove `cache`",
            *document.place((*path, "cache"), key=True),
        )


def _check_names(names: list[str], path: Path, document: Document) -> Iterator[Problem]:
    for index, name in enumerate(names):
        message = ""
        if not ENV_NAME.match(name):
            message = "not a valid name of a variable; give the name here, and the value in the "
            message += "environment"
        elif name in _PASSED or name.startswith("ORC_"):
            message = "cannot be a secret, because every command gets this variable; remove it"
        elif name in names[:index]:
            message = "is listed twice"
        if message:
            place = document.place((*path, index))
            yield Problem(f"{dotted((*path, index))}: {message}", *place)


def _is_in_env(name: str, path: Path, document: Document) -> Problem:
    return Problem(
        f"{dotted(path)}: {name} is in both `env` and `secrets`; remove one of them",
        *document.place(path),
    )
