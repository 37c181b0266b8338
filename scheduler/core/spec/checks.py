"""Checks that go beyond the form of single keys: kinds, names, paths, needs, cycles.

Each check yields problems with their places and continues; it raises nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from orc.ledger.kinds import KIND_OF_KEY, KINDS, marks_taking
from orc.scheduler.core.errors import Problem, TemplateError, nearest
from orc.scheduler.core.paths import path_problem
from orc.scheduler.core.shell.insertion import check_words
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.source.yaml_source import Document
from orc.scheduler.core.spec.check_files import ENV_NAME, check_cwd, check_env, check_files
from orc.scheduler.core.spec.check_flow import check_flow
from orc.scheduler.core.spec.check_placing import check_placing, check_ship, executor_problem
from orc.scheduler.core.spec.check_possible import check_defaults, check_input, check_possible
from orc.scheduler.core.spec.check_prompt import FUNCTION, check_prompt
from orc.scheduler.core.spec.check_secrets import (
    check_hook_secrets,
    check_job_secrets,
    check_secrets,
    secrets_in,
)
from orc.scheduler.core.spec.data_inputs import is_data
from orc.scheduler.core.spec.hooks import HookSpec
from orc.scheduler.core.spec.model import (
    STEP_ID_LENGTH_MAX,
    STEP_ID_PATTERN,
    JobSpec,
    StepSpec,
    kind_of,
)
from orc.scheduler.core.spec.references import (
    Place,
    Scope,
    check_text,
    needs_of,
    texts_in_model,
    texts_of,
    texts_of_job,
)

_ONLY_FOR = {
    **{key: marks_taking(key) for kind in KINDS.values() for key in kind.takes},
    "with_": ("workflow",),
}
"""Keys that only some kinds of steps may have, and the keys that mark these kinds."""
_STEP_ID = re.compile(STEP_ID_PATTERN[1:-1])


def check_job(job: JobSpec, document: Document, *, uses_app: bool) -> Iterator[Problem]:
    """Problems of the job's own keys."""
    reason = path_problem(job.project)
    if reason:
        yield Problem(f"project: {reason}", *document.place(("project",)))
    if job.timeout is not None and job.timeout_s is not None:
        place = document.place(("timeout_s",), key=True)
        yield Problem("timeout_s: is the same setting as timeout; remove one of them", *place)
    is_given = "task_description" in document.value
    task = job.task_description
    # One of a wrong type is reported as such, and left out here.
    if uses_app and (not is_given if task is None else not task.strip()):
        yield Problem(
            "task_description: required in a spec without `steps`, because its prompts come from "
            "the built-in template `app`",
            *document.place(("task_description",) if is_given else ()),
        )
    for name, spec in job.inputs.items():
        path: Path = ("inputs", name)
        if not ENV_NAME.match(name):
            yield Problem(
                f"inputs.{name}: a name may have letters, digits and underscores only",
                *document.place(path, key=True),
            )
        elif is_data(spec) and (reason := path_problem(name)):
            # Its files lie in a folder of this name.
            yield Problem(f"inputs.{name}: {reason}", *document.place(path, key=True))
        yield from check_input(name, spec, document)
    for key, env in (("env", job.env), ("defaults", job.defaults.env or {})):
        for name, value in env.items():
            env_path: Path = ("env", name) if key == "env" else ("defaults", "env", name)
            yield from check_env(name, value, env_path, document)
    yield from check_defaults(job.defaults, document)
    yield from check_job_secrets(job, document)
    yield from _check_hooks(job, document)
    yield from check_ship(job, document)
    scope = Scope(job, {}, secrets=frozenset(job.secrets))
    for text_path, text in texts_of_job(job):
        is_system = text_path == ("defaults", "system")
        when: Place = "inside" if is_system else "submission"
        yield from check_text(text_path, text, document, scope, when)


def _check_hooks(job: JobSpec, document: Document) -> Iterator[Problem]:
    """Problems of the job's hooks."""
    if job.hooks is None:
        return
    for name in type(job.hooks).model_fields:
        hook = getattr(job.hooks, name)
        if hook is not None:
            yield from _check_hook(hook, ("hooks", name), job, document)


def _check_hook(hook: HookSpec, path: Path, job: JobSpec, document: Document) -> Iterator[Problem]:
    first = hook.run if isinstance(hook.run, str) else (hook.run or [""])[0]
    if not first.strip():
        yield Problem(f"{dotted(path)}.run: is empty", *document.place(path))
    if isinstance(hook.run, list):
        try:
            check_words(tuple(hook.run))
        except TemplateError as error:
            yield Problem(f"{dotted(path)}.run: {error}", *document.place(path))
    for name, value in hook.env.items():
        yield from check_env(name, value, (*path, "env", name), document)
    yield from check_hook_secrets(path, hook, document, job)
    scope = Scope(job, {}, secrets=frozenset((*job.secrets, *hook.secrets)))
    for text_path, text in texts_in_model((), hook):
        # In the short form, the command is the hook itself.
        own = text_path if document.has((*path, *text_path[:1])) else text_path[1:]
        yield from check_text((*path, *own), text, document, scope, "inside")


def check_steps(
    steps: Mapping[str, StepSpec],
    document: Document,
    *,
    all_ids: Mapping[str, Any],
    job: JobSpec,
) -> Iterator[Problem]:
    """Problems of single steps, and of the steps together."""
    secrets = frozenset((*job.secrets, *secrets_in(steps)))
    # Steps with a wrong form are known by their ids only.
    scope = Scope(job, {**all_ids, **steps}, secrets=secrets)
    yield from _check_group(steps, document, scope, ("steps",), all_ids)


def _check_group(
    steps: Mapping[str, StepSpec],
    document: Document,
    scope: Scope,
    base: Path,
    all_ids: Mapping[str, Any],
) -> Iterator[Problem]:
    yield from _check_ids(all_ids, document, base)
    around = _Around(document, scope, all_ids)
    for step_id, step in steps.items():
        checks = _checks_of(frozenset(step.model_fields_set))
        texts = texts_of(step)
        if not (checks or texts or step.steps):
            continue
        path: Path = (*base, step_id)
        for check in checks:
            yield from check(path, step, around)
        for text_path, text, place in texts:
            inner = scope.inside(step, place, step_id)
            yield from check_text((*path, *text_path), text, document, inner, place)
        if step.steps is not None:
            members = scope.members(step)
            inner_base = (*path, "steps")
            yield from _check_shadows(step.steps, scope, inner_base, document)
            yield from _check_group(step.steps, document, members, inner_base, step.steps)
    yield from _check_cycle(steps, document, base)


class _Around(NamedTuple):
    """What is around a step that is checked: `all_ids` are those of its group."""

    document: Document
    scope: Scope
    all_ids: Mapping[str, Any]


_Check = Callable[[Path, StepSpec, _Around], Iterator[Problem]]


@lru_cache(maxsize=1024)
def _checks_of(given: frozenset[str]) -> tuple[_Check, ...]:
    """The checks, in order, that can find something in a step with these keys."""
    return tuple(check for can_find, check in _CHECKS if can_find(given))


def _has(keys: str) -> Callable[[frozenset[str]], bool]:
    names = frozenset(keys.split())
    return lambda given: not names.isdisjoint(given)


def _check_shadows(
    members: Mapping[str, StepSpec], scope: Scope, base: Path, document: Document
) -> Iterator[Problem]:
    for name in members:
        if name in scope.steps:
            yield Problem(
                f"{dotted((*base, name))}: a step outside the group has the same id; rename one",
                *document.place((*base, name), key=True),
            )


def _check_ids(all_ids: Mapping[str, Any], document: Document, base: Path) -> Iterator[Problem]:
    by_folded: dict[str, str] = {}
    for step_id in all_ids:
        if not _STEP_ID.fullmatch(step_id) or len(step_id) > STEP_ID_LENGTH_MAX:
            yield Problem(
                f"{dotted(base)}: {step_id[:80]!r} is not a valid step id: use at most "
                f"{STEP_ID_LENGTH_MAX} letters, digits, - and _, starting with a letter or _",
                *document.place((*base, step_id), key=True),
            )
            continue
        reason = path_problem(step_id)
        if reason:
            path = (*base, step_id)
            yield Problem(f"{dotted(path)}: {reason}", *document.place(path, key=True))
        other = by_folded.setdefault(step_id.casefold(), step_id)
        if other != step_id:
            path = (*base, step_id)
            yield Problem(
                f"{dotted(path)}: differs from {other!r} by case only, so that their logs would be the "
                "same file on some file systems; rename one",
                *document.place(path, key=True),
            )


def _has_wrong_keys(given: frozenset[str]) -> bool:
    """Whether a step with these keys has no kind, or more than one, or a key of another kind."""
    kinds = [key for key in KIND_OF_KEY if key in given]
    return len(kinds) != 1 or any(
        key in given and kinds[0] not in marks for key, marks in _ONLY_FOR.items()
    )


def _check_kind(path: Path, step: StepSpec, around: _Around) -> Iterator[Problem]:
    is_set, document = step.model_fields_set, around.document
    given = [key for key in KIND_OF_KEY if key in is_set]
    if len(given) != 1:
        found = f"this step has {' and '.join(given)}" if given else "this step has none"
        place, where = document.place(path, key=True), dotted(path)
        yield Problem(
            f"{where}: a step must have exactly one of {', '.join(KIND_OF_KEY)}; {found}", *place
        )
        return
    for key, marks in _ONLY_FOR.items():
        if key in is_set and given[0] not in marks:
            reason = (
                f"is allowed in a step with {' or '.join(marks)} only; this step has {given[0]}"
            )
            if key == "executor":
                reason = executor_problem(step) or reason
            yield Problem(
                f"{dotted(path)}.{key.rstrip('_')}: {reason}",
                *document.place((*path, key.rstrip("_")), key=True),
            )


def _check_work(path: Path, step: StepSpec, around: _Around) -> Iterator[Problem]:
    """Problems of what a step of one kind does, and of its result in doubt."""
    document = around.document
    if kind_of(step) is None:
        return
    if step.on_unknown is not None and step.idempotent is (step.on_unknown != "retry"):
        means = "retry" if step.idempotent else "ask"
        yield Problem(
            f"{dotted(path)}.idempotent: {str(step.idempotent).lower()} means `on_unknown: {means}`, "
            f"but this step has `on_unknown: {step.on_unknown}`; remove one of them",
            *document.place((*path, "idempotent"), key=True),
        )
    if step.python is not None and not FUNCTION.match(step.python):
        yield Problem(
            f"{dotted(path)}.python: must be package.module:function; got {step.python!r}",
            *document.place((*path, "python")),
        )
    if isinstance(step.run, list):
        yield from _check_words(path, step.run, document)
    if step.run is not None and (
        not step.run or not (step.run if isinstance(step.run, str) else step.run[0]).strip()
    ):
        yield Problem(f"{dotted(path)}.run: is empty", *document.place((*path, "run")))


def _check_words(path: Path, words: list[str], document: Document) -> Iterator[Problem]:
    try:
        check_words(tuple(words))
    except TemplateError as error:
        yield Problem(f"{dotted(path)}.run: {error}", *document.place((*path, "run")))


def _check_needs(path: Path, step: StepSpec, around: _Around) -> Iterator[Problem]:
    for index, name in enumerate(step.needs):
        if name not in around.all_ids:
            place = around.document.place((*path, "needs", index))
            others = set(around.all_ids) - {path[-1]}
            hint = nearest(name, others) or "; name another step, or remove it"
            yield Problem(f"{dotted(path)}.needs: there is no step {name!r}{hint}", *place)


def _check_variables(path: Path, step: StepSpec, around: _Around) -> Iterator[Problem]:
    for name, value in (step.env or {}).items():
        yield from check_env(name, value, (*path, "env", name), around.document)


_CHECKS: tuple[tuple[Callable[[frozenset[str]], bool], _Check], ...] = (
    (_has_wrong_keys, _check_kind),
    (_has("on_unknown idempotent python run"), _check_work),
    (
        _has("prompt messages embed output max_turns workspace tools"),
        lambda path, step, around: check_prompt(path, step, around.document),
    ),
    (
        _has("for_each as_ key max_parallel matrix repeat score loop approval"),
        lambda path, step, around: check_flow(path, step, around.document, around.scope),
    ),
    (
        _has(
            "timeout attempt_timeout total_timeout queue_timeout retry retry_on loop key approval"
        ),
        lambda path, step, around: check_possible(
            path, step, around.document, around.scope.job.defaults
        ),
    ),
    (_has("needs"), _check_needs),
    (_has("files"), lambda path, step, around: check_files(path, step, around.document)),
    (
        _has("files"),
        lambda path, step, around: check_cwd(path, step, around.document, around.scope.job),
    ),
    (
        _has("secrets env cache"),
        lambda path, step, around: check_secrets(path, step, around.document, around.scope.job),
    ),
    (
        _has("executor resources"),
        lambda path, step, around: check_placing(path, step, around.document),
    ),
    (_has("env"), _check_variables),
)
"""The checks of a single step in order, each with the sets of keys in which it can find something."""


def _check_cycle(
    steps: Mapping[str, StepSpec], document: Document, base: Path
) -> Iterator[Problem]:
    """One problem for each cycle; it lists the steps of the cycle in order."""
    needs = {step_id: needs_of(step_id, step, steps) for step_id, step in steps.items()}
    done = {step_id for step_id, names in needs.items() if not names}
    for root in needs:
        trail: dict[str, Iterator[str]] = {}
        pending = [root] if root not in done else []
        while pending:
            step_id = pending[-1]
            if step_id not in trail:
                trail[step_id] = iter(needs[step_id])
            advanced = next((name for name in trail[step_id] if name not in done), None)
            if advanced is None:
                done.add(step_id)
                trail.pop(step_id)
                pending.pop()
            elif advanced in trail:
                loop = [*pending[pending.index(advanced) :], advanced]
                yield Problem(
                    f"{dotted((*base, advanced))}: the steps' needs have a cycle: "
                    f"{' -> '.join(loop)} (each needs the next); remove one of the needs",
                    *document.place((*base, advanced), key=True),
                )
                done.update(pending)
                pending = []
            else:
                pending.append(advanced)
