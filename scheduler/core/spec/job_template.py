"""Applies `template: NAME`: a spec takes its steps from a built-in template or another spec."""

from __future__ import annotations

from collections.abc import Callable
from posixpath import dirname, normpath
from typing import Any

from orc.scheduler.core.errors import Problem, SpecError
from orc.scheduler.core.source.yaml_source import Document, parse_yaml
from orc.scheduler.core.spec.base import IGNORED_PREFIX
from orc.scheduler.core.spec.file_texts import ReadText, read_texts
from orc.scheduler.core.spec.words import take_as_written

APP = "app"
ReadTemplate = Callable[[str], str]
"""Returns the text of a template by its name or path; raises ValueError."""
Examine = Callable[[str, str], list[Problem]]
"""Returns the problems of a template, given its text and its name."""

_MERGED = ("inputs", "defaults", "env")


def folder_of_template(name: str) -> str:
    """The folder of a template's file, relative to the spec's; empty for a built-in template."""
    return normpath(dirname(name)) if is_file(name) and dirname(name) else ""


def is_file(name: str) -> bool:
    """Whether a template is named by the path of its file; otherwise it is a built-in one."""
    return name.endswith((".yaml", ".yml"))


def apply_template(
    document: Document, read_template: ReadTemplate, read_text: ReadText | None, examine: Examine
) -> list[Problem]:
    """Add the keys of the template that the spec does not have; return the problems.

    Texts that the template names are read here, since its names are relative to its own folder.
    """
    spec = document.value
    name = spec.get("template")
    if name is None or name == APP:
        return []
    place = document.place(("template",))
    if not isinstance(name, str):
        return []
    if "steps" in spec:
        return [
            Problem("template: a spec has either `steps` or `template`; remove one of them", *place)
        ]
    try:
        text = read_template(name)
        template = parse_yaml(text, source_name=name)
        if isinstance(template.value, dict):
            take_as_written(template)
        found = template.value
        problems = examine(text, name)
        read_texts(template, read_text)
    except ValueError as error:
        return [Problem(f"template: {error}", *place)]
    except SpecError as error:
        problems, found = list(error.problems), None
    if isinstance(found, dict) and found.get("template") not in (None, APP):
        problems.append(
            Problem(
                "template: a template cannot use another template; name that one, or copy its steps",
                *template.place(("template",)),
            )
        )
    said = [Problem(f"template: {one.line_in(name)}", *place) for one in problems]
    if not said and isinstance(found, dict):
        _merge(spec, found)
    return said


def _merge(spec: dict[str, Any], template: dict[str, Any]) -> None:
    for key, value in template.items():
        if str(key).startswith(IGNORED_PREFIX):
            continue
        own = spec.get(key)
        if key not in spec:
            spec[key] = value
        elif key == "secrets" and isinstance(own, list) and isinstance(value, list):
            spec[key] = [*own, *(name for name in value if name not in own)]
        elif key in _MERGED and isinstance(own, dict) and isinstance(value, dict):
            spec[key] = {**value, **own}
