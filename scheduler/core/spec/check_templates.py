"""Finds templates where none is rendered: they would be taken literally."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from orc.scheduler.core.errors import Problem
from orc.scheduler.core.language.templates import has_template
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.source.yaml_source import Document
from orc.scheduler.core.spec.base import IGNORED_PREFIX
from orc.scheduler.core.spec.hooks import HooksSpec
from orc.scheduler.core.spec.model import JobSpec
from orc.scheduler.core.spec.rendered_keys import Rendered, rendered

_SHORT_FORMS_WITH_TEXTS = ("fallback", "files", "approval", *HooksSpec.model_fields)
NOT_RENDERED = (
    "`${{ }}` is not rendered here; write the value itself (docs/spec.md#templates lists the keys "
    "with templates)"
)


def refused_templates(document: Document) -> Iterator[tuple[Path, Problem]]:
    """The path and the problem of each template in a key, or as a key, that is not rendered."""
    for path in _refused(JobSpec, document.value, ()):
        is_key = has_template(str(path[-1]))
        said = (
            "a key cannot have a template; put it into a value, or build the mapping in a step"
            if is_key
            else NOT_RENDERED
        )
        yield path, Problem(f"{dotted(path)}: {said}", *document.place(path, key=is_key))


def _refused(model: type[BaseModel], value: Any, path: Path) -> Iterator[Path]:
    if not isinstance(value, Mapping):
        return
    fields = _fields_by_key(model)
    for key, item in value.items():
        where: Path = (*path, key)
        if not path and str(key).startswith(IGNORED_PREFIX):
            continue
        if key not in fields:
            # A limit or a resource by its name; an unknown key is reported as such.
            if model.model_config.get("extra") == "allow":
                yield from _templates_in(item, where)
            continue
        match rendered(model, fields[key]):
            case Rendered.INSIDE:
                yield from _refused_inside(model, fields[key], item, where)
            case Rendered.NEVER | None:
                yield from _templates_in(item, where)
            case _:
                yield from _templates_in_keys(item, where)


@cache
def _fields_by_key(model: type[BaseModel]) -> dict[str, str]:
    return {field.alias or name: name for name, field in model.model_fields.items()}


def _refused_inside(model: type[BaseModel], name: str, value: Any, path: Path) -> Iterator[Path]:
    inner, is_by_name = _model_inside(model, name)
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, str):
                yield from _short_form(name, item, (*path, index))
            else:
                yield from _refused(inner, item, (*path, index))
    elif isinstance(value, str):
        yield from _short_form(name, value, path)
    elif isinstance(value, Mapping) and is_by_name:
        for key, item in value.items():
            yield from _refused(inner, item, (*path, key))
    else:
        yield from _refused(inner, value, path)


@cache
def _model_inside(model: type[BaseModel], name: str) -> tuple[type[BaseModel], bool]:
    """The model of the mappings in a field, and whether the field has them by name."""
    annotation = model.model_fields[name].annotation
    [inner] = set(models_in(annotation))
    return inner, _is_by_name(annotation)


def _short_form(name: str, text: str, path: Path) -> Iterator[Path]:
    if has_template(text) and name not in _SHORT_FORMS_WITH_TEXTS:
        yield path


def _templates_in(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, str) and has_template(value):
        yield path
    for key, item in _items(value):
        if isinstance(key, str) and has_template(key):
            yield (*path, key)
        yield from _templates_in(item, (*path, key))


def _templates_in_keys(value: Any, path: Path) -> Iterator[Path]:
    for key, item in _items(value):
        if isinstance(key, str) and has_template(key):
            yield (*path, key)
        yield from _templates_in_keys(item, (*path, key))


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models of mappings that a value of this annotation may be, or contain."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def _is_by_name(annotation: Any) -> bool:
    """Whether the value is a mapping of names to mappings: `steps`, `inputs`."""
    if get_origin(annotation) is dict:
        return any(True for _ in models_in(annotation))
    return any(_is_by_name(inner) for inner in get_args(annotation))
