"""Reads texts from files beside the spec: `prompt: {file: outline.md}`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from orc.scheduler.core.errors import Problem
from orc.scheduler.core.language.templates import has_template
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.source.yaml_source import Document
from orc.scheduler.core.spec.check_templates import NOT_RENDERED

ReadText = Callable[[str], str]
"""Returns the text of a file that the spec names; raises ValueError with the reason if it cannot."""

_KEYS = ("prompt", "system")


def read_texts(document: Document, read_text: ReadText | None) -> list[Problem]:
    """Replace each `{file: PATH}` in the document by its text; return the problems.

    Without `read_text`, the texts are left empty.
    """
    problems: list[Problem] = []
    value = document.value
    for owner, path in mappings_of_steps(value):
        for key in _KEYS:
            found = owner.get(key)
            if not isinstance(found, dict) or set(found) != {"file"}:
                continue
            name, place = found["file"], (*path, key)
            owner[key] = ""
            if not isinstance(name, str) or not name:
                problems.append(
                    Problem(f"{dotted(place)}.file: must be a path", *document.place(place))
                )
                continue
            try:
                if has_template(name):
                    raise ValueError(NOT_RENDERED)
                owner[key] = "" if read_text is None else read_text(name)
                if read_text is not None and not owner[key].strip():
                    raise ValueError(f"{name} is empty")
            except ValueError as error:
                where = document.place((*place, "file"))
                problems.append(Problem(f"{dotted(place)}.file: {error}", *where))
            document.files[place] = name
    return problems


def mappings_of_steps(value: Any, path: Path = ()) -> Iterator[tuple[dict[str, Any], Path]]:
    """Every mapping with the keys of steps, and its path: steps, their members, and the defaults."""
    if not isinstance(value, dict):
        return
    if isinstance(value.get("defaults"), dict):
        yield value["defaults"], (*path, "defaults")
    steps = value.get("steps")
    if isinstance(steps, dict):
        for step_id, step in steps.items():
            if isinstance(step, dict):
                inner: Path = (*path, "steps", step_id)
                yield step, inner
                if "steps" in step:
                    yield from mappings_of_steps({"steps": step["steps"]}, inner)
