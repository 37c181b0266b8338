"""Finds items of one `for_each` that would write the same file.

Before a run, for items that the spec lists; when the items are known, before one of them starts and
costs something. Only paths that the items' texts give are compared, and steps that run in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orc.ledger.definition import FileDef, StepDef
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.file_names import FileNames
from orc.scheduler.core.language.templates import parse_template
from orc.scheduler.core.language.values import to_text


def find_collision(step: StepDef, scopes: Iterable[Mapping[str, Any]]) -> str | None:
    """Why two items cannot both write their files; None if they can, as far as it is known.

    `scopes` has the variables of each item, in order.
    """
    templates = [text for file in _files(step) for text in _names(file)]
    if not templates or step.item_condition is not None:
        return None
    names = FileNames()
    numbers: dict[str, int] = {}
    for number, scope in enumerate(scopes):
        own = []
        for template in templates:
            try:
                own.append(to_text(parse_template(template).render(scope)))
            except TemplateError:
                # It refers to what is not known yet, or the item fails by itself.
                continue
        for path in own:
            other = path if path in numbers else names.clash(path)
            if other is not None:
                return _message(path, other, number, numbers[other])
        for path in own:
            names.add(path)
            numbers.setdefault(path, number)
    return None


def listed_scopes(step: StepDef) -> list[dict[str, Any]]:
    """The variables of the items that the definition lists; empty if they are known later."""
    if step.for_each is None or not isinstance(step.for_each.items, list | tuple):
        return []
    if step.for_each.matrix is not None:
        return []
    repeated = [item for item in step.for_each.items for _ in range(step.for_each.repeat or 1)]
    return [
        {step.for_each.name: item, "repetition": step.for_each.repetition_of(number)}
        for number, item in enumerate(repeated)
    ]


def _files(step: StepDef) -> Iterator[FileDef]:
    """The entries of an item, and of the steps in it that run in any case."""
    yield from step.files
    if step.loop is not None or step.inputs is not None:
        return
    for inner in step.steps:
        if inner.condition is None and inner.for_each is None:
            yield from _files(inner)


def _names(file: FileDef) -> Iterator[str]:
    """The entry's path as a template, if the step writes it whenever it succeeds."""
    if file.path is not None:
        yield file.path
    elif file.required != "no" and file.glob and not _is_for_several(file.glob):
        yield file.glob


def _is_for_several(glob: str) -> bool:
    """Whether it is a pattern, or a folder, in which several items may write."""
    return bool(set(glob) & set("*?")) or glob.endswith("/")


def _message(path: str, other: str, number: int, before: int) -> str:
    both = f"items {before} and {number} of its `for_each`"
    advice = "make the path differ from item to item"
    if path == other:
        return f"{both} would both write {path[:200]!r}; {advice}"
    return f"{both} would write {other[:200]!r} and {path[:200]!r}, which conflict; {advice}"
