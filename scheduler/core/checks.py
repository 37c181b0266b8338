"""What the keys of a spec mean together: kinds, names, paths, cycles.

Each check yields problems with their place and goes on; nothing is raised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scheduler.core.check_prompt import FUNCTION, check_prompt
from scheduler.core.errors import Problem, nearest
from scheduler.core.file_names import FileNames
from scheduler.core.paths import path_problem
from scheduler.core.references import check_text, needs_of, texts_of
from scheduler.core.spec_model import STEP_ID_PATTERN, JobSpec, StepSpec
from scheduler.core.templates import has_template
from scheduler.core.yaml_source import Document, Path

STEP_ID_LENGTH_MAX = 64


_KIND_KEYS = ("prompt", "messages", "run", "python", "value")


_ONLY_FOR = {
    "system": ("prompt", "messages"),
    "provider": ("prompt", "messages"),
    "model": ("prompt", "messages"),
    "base_url": ("prompt", "messages"),
    "fallback": ("prompt", "messages"),
    "params": ("prompt", "messages"),
    "tools": ("prompt", "messages"),
    "max_turns": ("prompt", "messages"),
    "cache": ("prompt", "messages", "run", "python"),
    "args": ("python",),
    "env": ("run", "python"),
    "output": ("prompt", "messages", "run"),
}


_SHELLS = ("sh", "bash", "dash", "ksh", "zsh")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)


_INPUT_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
}


def check_job(job: JobSpec, document: Document, *, uses_app: bool) -> Iterator[Problem]:
    """Problems of the job's own keys."""
    reason = path_problem(job.project)
    if reason:
        yield Problem(f"project: {reason}", *document.place(("project",)))
    if job.timeout is not None and job.timeout_s is not None:
        place = document.place(("timeout_s",), key=True)
        yield Problem("timeout_s: says the same as timeout; keep one of them", *place)
    if uses_app and not (job.task_description or "").strip():
        yield Problem(
            "task_description: required where there are no `steps`: the built-in template "
            "`app` is asked to do it",
            *document.place(()),
        )
    for name, spec in job.inputs.items():
        path: Path = ("inputs", name)
        if not _ENV_NAME.match(name):
            yield Problem(
                f"inputs.{name}: a name has letters, digits and underscores only",
                *document.place(path, key=True),
            )
        if spec.default is not None:
            reason = input_problem(spec.default, spec.type, spec.enum)
            if reason:
                yield Problem(
                    f"inputs.{name}.default: {reason}", *document.place((*path, "default"))
                )
    for key, env in (("env", job.env), ("defaults", job.defaults.env or {})):
        for name, value in env.items():
            env_path: Path = ("env", name) if key == "env" else ("defaults", "env", name)
            yield from _check_env(name, value, env_path, document, templates=False)
    if job.defaults.system:
        yield from check_text(("defaults", "system"), job.defaults.system, document, job, {})


def input_problem(value: Any, type_name: str, enum: list[Any] | None) -> str:
    """Why a value does not fit an input's declaration; empty when it does."""
    is_bool = isinstance(value, bool)
    if not isinstance(value, _INPUT_TYPES[type_name]) or (is_bool and type_name != "boolean"):
        return f"must be of type {type_name}; got {value!r}"
    if enum is not None and value not in enum:
        return f"must be one of {', '.join(map(repr, enum))}; got {value!r}"
    return ""


def check_steps(
    steps: Mapping[str, StepSpec],
    document: Document,
    *,
    all_ids: Mapping[str, Any],
    job: JobSpec,
) -> Iterator[Problem]:
    """Problems of the steps, each by itself and together."""
    yield from _check_ids(all_ids, document)
    for step_id, step in steps.items():
        path: Path = ("steps", step_id)
        yield from _check_kind(step_id, step, path, document)
        yield from check_prompt(step_id, step, path, document)
        yield from _check_needs(step_id, step, path, document, all_ids)
        yield from _check_files(step_id, step, path, document)
        for name, value in (step.env or {}).items():
            yield from _check_env(name, value, (*path, "env", name), document, templates=True)
        for text_path, text in texts_of(step):
            yield from check_text((*path, *text_path), text, document, job, all_ids)
    yield from _check_owners(steps, document)
    yield from _check_cycle(steps, document)


def kind_of(step: StepSpec) -> str | None:
    """The step's kind; none when it has no kind or several."""
    given = [key for key in _KIND_KEYS if key in step.model_fields_set]
    if len(given) != 1:
        return None
    return "prompt" if given[0] == "messages" else given[0]


def _check_ids(all_ids: Mapping[str, Any], document: Document) -> Iterator[Problem]:
    by_folded: dict[str, str] = {}
    for step_id in all_ids:
        place = document.place(("steps", step_id), key=True)
        if not re.fullmatch(STEP_ID_PATTERN[1:-1], step_id) or len(step_id) > STEP_ID_LENGTH_MAX:
            yield Problem(
                f"steps: {step_id[:80]!r} is not a step id: letters, digits, - and _, starting with "
                f"a letter or _, at most {STEP_ID_LENGTH_MAX}",
                *place,
            )
            continue
        reason = path_problem(step_id)
        if reason:
            yield Problem(f"steps.{step_id}: {reason}", *place)
        other = by_folded.setdefault(step_id.casefold(), step_id)
        if other != step_id:
            yield Problem(
                f"steps.{step_id}: differs from {other!r} by case only, and their logs would be one "
                "file on some disks; rename one",
                *place,
            )


def _check_kind(step_id: str, step: StepSpec, path: Path, document: Document) -> Iterator[Problem]:
    given = [key for key in _KIND_KEYS if key in step.model_fields_set]
    place = document.place(path, key=True)
    if len(given) != 1:
        found = f"it has {' and '.join(given)}" if given else "it has none"
        yield Problem(
            f"steps.{step_id}: a step has exactly one of {', '.join(_KIND_KEYS)}; {found}", *place
        )
        return
    for key, kinds in _ONLY_FOR.items():
        if key in step.model_fields_set and given[0] not in kinds:
            yield Problem(
                f"steps.{step_id}.{key}: belongs to a step with {' or '.join(kinds)}, and this one "
                f"has {given[0]}",
                *document.place((*path, key), key=True),
            )
    if step.python is not None and not FUNCTION.match(step.python):
        yield Problem(
            f"steps.{step_id}.python: must be package.module:function; got {step.python!r}",
            *document.place((*path, "python")),
        )
    if isinstance(step.run, list) and _is_shell_text(step.run):
        yield Problem(
            f"steps.{step_id}.run: a value would become shell text here; write the script as a "
            "text, `run: ...`, where values travel in variables",
            *document.place((*path, "run")),
        )
    if step.run is not None and (
        not step.run or (isinstance(step.run, str) and not step.run.strip())
    ):
        yield Problem(f"steps.{step_id}.run: is empty", *document.place((*path, "run")))


def _is_shell_text(words: list[str]) -> bool:
    """`[sh, -c, "... ${{ }} ..."]`."""
    shell, *rest = words or [""]
    if shell.rpartition("/")[2] not in _SHELLS or len(rest) < 2:
        return False
    return rest[0].startswith("-") and "c" in rest[0] and has_template(rest[1])


def _check_needs(
    step_id: str, step: StepSpec, path: Path, document: Document, all_ids: Mapping[str, Any]
) -> Iterator[Problem]:
    for index, name in enumerate(step.needs):
        if name not in all_ids:
            place = document.place((*path, "needs", index))
            hint = nearest(name, set(all_ids) - {step_id})
            yield Problem(f"steps.{step_id}.needs: there is no step {name!r}{hint}", *place)


def _check_files(step_id: str, step: StepSpec, path: Path, document: Document) -> Iterator[Problem]:
    for index, file in enumerate(step.files):
        where = f"steps.{step_id}.files[{index}]"
        place = document.place((*path, "files", index))
        if (file.path is None) == (file.glob is None):
            yield Problem(f"{where}: has either `path` or `glob`", *place)
            continue
        if file.glob is not None and file.content is not None:
            yield Problem(f"{where}: `content` goes with `path`, not with `glob`", *place)
        if file.glob is not None and kind_of(step) not in ("run", "python"):
            yield Problem(
                f"{where}: only commands and functions leave files to capture; "
                f"to write the step's text, say {{path: {file.glob!r}}}",
                *place,
            )
        name = file.path if file.path is not None else file.glob
        if name is not None and not has_template(name):
            reason = path_problem(name, glob=file.glob is not None)
            if reason:
                yield Problem(f"{where}: {reason}", *place)


def _check_env(
    name: str, value: str | None, path: Path, document: Document, *, templates: bool
) -> Iterator[Problem]:
    where = ".".join(map(str, path))
    if not _ENV_NAME.match(name):
        yield Problem(f"{where}: not a variable's name", *document.place(path, key=True))
    if value is not None and has_template(value) and not templates:
        yield Problem(f"{where}: templates work in a step's own env only", *document.place(path))


def _check_owners(steps: Mapping[str, StepSpec], document: Document) -> Iterator[Problem]:
    """Paths that cannot stand beside each other, as far as it shows before they are written."""
    names = FileNames()
    owners: dict[str, str] = {}
    for step_id, step in steps.items():
        for index, file in enumerate(step.files):
            if file.path is None or has_template(file.path):
                continue
            other = file.path if file.path in owners else names.clash(file.path)
            if other is not None:
                where = f"steps.{step_id}.files[{index}]: {file.path!r}"
                reason = f"cannot stand beside {other!r}, which {owners[other]!r} writes"
                if other == file.path:
                    reason = f"is written by {owners[other]!r} already"
                place = document.place(("steps", step_id, "files", index))
                yield Problem(f"{where} {reason}", *place)
                continue
            names.add(file.path)
            owners[file.path] = step_id


def _check_cycle(steps: Mapping[str, StepSpec], document: Document) -> Iterator[Problem]:
    """One problem for each cycle found, which names the steps on it in order."""
    needs = {step_id: needs_of(step_id, step, steps) for step_id, step in steps.items()}
    done: set[str] = set()
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
                    f"steps.{advanced}: the steps wait for each other: {' -> '.join(loop)} "
                    "(each needs the next)",
                    *document.place(("steps", advanced), key=True),
                )
                done.update(pending)
                pending = []
            else:
                pending.append(advanced)
