"""Parses the text of a spec into a checked `JobSpec`, and finds all its problems.

This module finds problems of form; `checks.py` finds the others. Default values are left to
`core/resolve`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct, field
from pydantic import BaseModel, ValidationError

from orc.scheduler.core.errors import Problem, SpecError, nearest
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.source.yaml_source import Document, parse_yaml
from orc.scheduler.core.spec.app_template import app_steps
from orc.scheduler.core.spec.base import NoTemplate
from orc.scheduler.core.spec.beside import beside
from orc.scheduler.core.spec.check_templates import models_in, refused_templates
from orc.scheduler.core.spec.checks import check_job, check_steps
from orc.scheduler.core.spec.file_texts import ReadText, read_texts
from orc.scheduler.core.spec.flow import BudgetSpec
from orc.scheduler.core.spec.job_template import (
    APP,
    ReadTemplate,
    apply_template,
    folder_of_template,
)
from orc.scheduler.core.spec.misfits import describe, foreign_word, is_other_form
from orc.scheduler.core.spec.model import (
    LATER_JOB_KEYS,
    LATER_STEP_KEYS,
    DefaultsSpec,
    InputSpec,
    JobSpec,
    StepSpec,
    kind_of,
)
from orc.scheduler.core.spec.prompt import VARIABLE_PATTERN, ParamsSpec, ServersFile, ServerSpec
from orc.scheduler.core.spec.readers import read_job, step_reader
from orc.scheduler.core.spec.words import take_as_written

_PROBLEMS_MAX = 100
_KEYS_OF_SPECS = {"project", "steps", "task_description", "template"}
_ANY_INPUT = {"required": False}
"""An input in the place of one that is declared wrongly."""
Model = TypeVar("Model", bound=BaseModel)


class Spec(Struct, frozen=True):
    """A parsed spec, with the document and text that it comes from.

    `folders` has the folder of the template for each key that comes from there.
    """

    job: JobSpec
    steps: dict[str, StepSpec]
    document: Document
    text: str
    source_name: str
    folders: Mapping[str, str] = field(default_factory=dict)

    def folder_of(self, key: str) -> str:
        """The folder of the file in which the value of the key is written, relative to the spec's.

        It is empty, or the folder of the spec's template.
        """
        return self.folders.get(key, "")

    def job_with_steps(self) -> JobSpec:
        """The whole spec as one `JobSpec`."""
        return self.job.model_copy(update={"steps": self.steps})

    def problem(self, message: str, *path: str | int, key: bool = False) -> Problem:
        """A problem with the place of the value (or the key) at the path."""
        return Problem(message, *self.document.place(path, key=key))


def parse_spec(
    text: str, *, source_name: str = "spec.yaml", read_text: ReadText | None = None
) -> Spec:
    """Parse the spec in the text. Raises SpecError with all problems.

    Without `read_text`, texts in other files are read as empty.
    """
    spec, problems = examine(text, source_name=source_name, read_text=read_text)
    if problems:
        raise SpecError(source_name, problems)
    return spec


def parse_servers(text: str, *, source_name: str) -> tuple[dict[str, ServerSpec], Document]:
    """The servers in a file: below the key `servers`, or the whole file. Raises SpecError."""
    document = parse_yaml(text, source_name=source_name)
    value = {} if document.value is None else document.value
    if not isinstance(value, dict):
        problem = Problem("the file must be a mapping with the key `servers`", 1, 1)
        raise SpecError(source_name, [problem])
    if "servers" not in value:
        value = {"servers": value}
    problems = [problem for _, problem in refused_templates(document)]
    found = _validate(ServersFile.model_validate, value, (), document, problems)
    if found is None or problems:
        raise SpecError(source_name, problems)
    return found.servers, document


def examine(
    text: str,
    *,
    source_name: str,
    read_text: ReadText | None = None,
    read_template: ReadTemplate | None = None,
) -> tuple[Spec, list[Problem]]:
    """The spec, or its valid parts, and all its problems.

    Raises SpecError if the text is not a YAML mapping.
    """
    document = parse_yaml(text, source_name=source_name)
    if not isinstance(document.value, dict):
        raise SpecError(
            source_name,
            [
                Problem(
                    "a spec must be a mapping with `project`, and `steps` or `task_description`",
                    1,
                    1,
                )
            ],
        )
    problems = []
    take_as_written(document)
    template = document.value.get("template")
    folders: dict[str, str] = {}
    if isinstance(template, str) and read_template is not None:
        own, folder = set(document.value), folder_of_template(template)
        read_beside = None if read_text is None else partial(_read_beside, read_text, folder)
        problems += apply_template(
            document,
            read_template,
            read_beside,
            lambda text, name: examine(text, source_name=name, read_text=read_beside)[1],
        )
        folders = {key: folder for key in document.value if key not in own and folder}
    problems += read_texts(document, read_text)
    refused = dict(refused_templates(document))
    raw = dict(document.value)
    raw_steps = raw.pop("steps", None)
    if not document.value.keys() & _KEYS_OF_SPECS:
        known = "`project`, and `steps` or `task_description`"
        message = f"this is not a spec of orc: it has none of the keys {known}"
        raise SpecError(source_name, [Problem(message, 1, 1)])
    job = _validate(read_job, raw, (), document, problems)
    steps = _validate_steps(raw_steps, document, problems, given="steps" in document.value)
    checked = job or _usable_part(raw)
    problems += check_job(checked, document, uses_app=_uses_app(document.value))
    all_ids = raw_steps if isinstance(raw_steps, dict) else steps
    problems += check_steps(steps, document, all_ids=all_ids, job=checked)
    # Where a template is refused, its text is also no value of the right form.
    places = {(problem.line, problem.column) for problem in refused.values()}
    problems = [found for found in problems if (found.line, found.column) not in places]
    problems += refused.values()
    spec = Spec(checked, steps, document, text, source_name, folders)
    return spec, problems[:_PROBLEMS_MAX]


def _read_beside(read_text: ReadText, folder: str, name: str) -> str:
    return read_text(beside(folder, name))


def _uses_app(spec: dict[str, Any]) -> bool:
    return "steps" not in spec and spec.get("template") in (None, APP)


def _usable_part(raw: dict[str, Any]) -> JobSpec:
    """The job without its invalid parts, so that other checks can still run.

    Of inputs and servers, only those that are invalid are left out; an invalid input keeps its name.
    """
    usable: dict[str, Any] = {"project": "unnamed", **raw}
    while True:
        try:
            return JobSpec.model_validate(usable)
        except ValidationError as error:
            for key, *inner in {item["loc"][:2] for item in error.errors()}:
                _leave_out(usable, str(key), *inner)
            usable.setdefault("project", "unnamed")


def _leave_out(usable: dict[str, Any], key: str, *inner: str | int) -> None:
    """Leave out the key of the job, or only what is invalid inside it."""
    within = usable.get(key)
    if key not in ("inputs", "servers") or not inner or not isinstance(within, dict):
        usable.pop(key, None)
        return
    name = inner[0]
    kept = {each: value for each, value in within.items() if each != name}
    if key == "inputs" and within.get(name) != _ANY_INPUT and name in within:
        kept[name] = _ANY_INPUT
    if kept.keys() == within.keys() and kept.get(name) == within.get(name):
        usable.pop(key)
        return
    usable[key] = kept


def _validate_steps(
    raw: Any, document: Document, problems: list[Problem], *, given: bool
) -> dict[str, StepSpec]:
    """The valid steps. Each is validated separately, so that all problems are found."""
    if not given:
        return dict(app_steps())
    if not isinstance(raw, dict) or not raw:
        message = "steps: must be a mapping of step ids to steps, with at least one step"
        if isinstance(raw, list):
            message += "; write `ID:` for each, in place of `-`"
        problems.append(Problem(message, *document.place(("steps",))))
        return {}
    read = step_reader([*raw.values()])
    steps = {}
    for step_id, raw_step in raw.items():
        step = _validate(read, raw_step, ("steps", step_id), document, problems)
        step = step or _usable_step(raw_step)
        if step is not None:
            steps[step_id] = step
    return steps


def _usable_step(raw: Any) -> StepSpec | None:
    """The step without its invalid keys, so that other checks can still run; None if impossible."""
    try:
        return StepSpec.model_validate(raw)
    except ValidationError as error:
        broken = {item["loc"][0] for item in error.errors() if item["loc"]}
    if not isinstance(raw, dict):
        return None
    try:
        step = StepSpec.model_validate({key: raw[key] for key in raw if key not in broken})
    except ValidationError:
        return None
    return None if kind_of(step) is None else step


def _validate(
    read: Callable[[Any], Model],
    raw: Any,
    path: Path,
    document: Document,
    problems: list[Problem],
) -> Model | None:
    """The value as a model; None if it is not valid, whose problems are added then."""
    try:
        return read(raw)
    except ValidationError as error:
        every: list[dict[str, Any]] = [{**details} for details in error.errors()]
        # A value may be of its type or a template; its own type is what was meant.
        found = [
            item for item in every if not isinstance(item.get("ctx", {}).get("error"), NoTemplate)
        ]
        places = [_place_of((*path, *item["loc"]), document) for item in found]
        around = {place[:length] for place in places for length in range(len(place))}
        by_place: dict[tuple[Path, str], list[dict[str, Any]]] = {}
        for item, place in zip(found, places, strict=True):
            missing = item["loc"][-1] if item["type"] == "missing" else ""
            # pydantic reports a value once for each form that it may have. A list with a wrong item
            # is also no text: only the item is of interest.
            if not (is_other_form(item) and place in around):
                by_place.setdefault((place, str(missing)), []).append(item)
        problems += [_as_problem(items, at, document) for (at, _), items in by_place.items()]
        return None


def _place_of(path: Path, document: Document) -> Path:
    """The path in the document, without the names of the forms that pydantic tried."""
    place: Path = ()
    value = document.value
    for part in path:
        is_key = isinstance(value, dict) and part in value
        if is_key or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            place, value = (*place, part), value[part]
    return place


def _as_problem(items: list[dict[str, Any]], place: Path, document: Document) -> Problem:
    item = items[0]
    if item["type"] == "missing":
        where = dotted((*place, item["loc"][-1]))
        return Problem(f"{where}: this key is required", *document.place(place))
    if item["type"] == "extra_forbidden":
        return Problem(_unknown_key(place), *document.place(place, key=True))
    said = describe(items, place, document.places.written.get(place))
    if item.get("ctx", {}).get("pattern") == VARIABLE_PATTERN:
        # Without line and column, since the line would be printed: it may have a key.
        return Problem(f"{dotted(place)}: {said}")
    return Problem(f"{dotted(place)}: {said}", *document.place(place))


def _unknown_key(path: Path) -> str:
    key = str(path[-1])
    where = dotted(path)
    later, known = _keys_at(path[:-1])
    if key in later:
        return f"{where}: not supported yet by this version of orc"
    if len(path) == 1 and key in DefaultsSpec.model_fields:
        return f"{where}: is a key of steps; for all steps, write `defaults: {{{key}: ...}}`"
    if len(path) == 1 and key in _keys_of(StepSpec):
        return f"{where}: is a key of steps; write it in a step, under `steps`"
    if key in _keys_of(ParamsSpec) and {"params", key} & {*known} == {"params"}:
        return f"{where}: is a parameter of models; write `params: {{{key}: ...}}`"
    hint = foreign_word(key, known) or nearest(key, known) or "; docs/spec.md lists the keys"
    return f"{where}: unknown key{hint}"


def _keys_at(parent: Path) -> tuple[frozenset[str], list[str]]:
    """The keys of later versions, and the known keys, of the mapping at the path."""
    if parent[:1] == ("budget",):
        return frozenset(), _keys_of(BudgetSpec)
    while len(parent) > 3 and parent[0] == parent[2] == "steps":
        parent = parent[2:]
    if not parent:
        return LATER_JOB_KEYS, _keys_of(JobSpec)
    if len(parent) == 2 and parent[0] == "steps":
        return LATER_STEP_KEYS, _keys_of(StepSpec)
    if parent == ("defaults",):
        return LATER_STEP_KEYS, list(DefaultsSpec.model_fields)
    if parent[0] == "inputs":
        return frozenset(), list(InputSpec.model_fields)
    # The innermost mapping that the path names: a step's `retry`, and no step called `retry`.
    for part in reversed(parent):
        if part in _MAPPINGS:
            return frozenset(), _keys_of(_MAPPINGS[part])
    return frozenset(), []


def _keys_of(model: type[BaseModel]) -> list[str]:
    return [field.alias or key for key, field in model.model_fields.items()]


def _mappings_in(model: type[BaseModel]) -> Iterator[tuple[str | int, type[BaseModel]]]:
    """The keys of a model, and of those inside it, whose values are mappings of their own."""
    for name, about in model.model_fields.items():
        for found in models_in(about.annotation):
            if found is not model:
                yield about.alias or name, found
                yield from _mappings_in(found)


_MAPPINGS = dict(_mappings_in(StepSpec)) | dict(_mappings_in(JobSpec))
