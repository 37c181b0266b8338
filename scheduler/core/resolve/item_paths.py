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
from orc.scheduler.core.language.names import EACH, ROUND
from orc.scheduler.core.language.templates import Template, parse_template
from orc.scheduler.core.language.values import to_text
from orc.scheduler.core.resolve.item_lists import list_items


def find_collision(step: StepDef, scopes: Iterable[Mapping[str, Any]]) -> str | None:
    """Why two items cannot both write their files; None if they can, as far as it is known.

    `scopes` has the variables of each item, in order.
    """
    templates = list(_templates(step))
    if not templates or step.item_condition is not None:
        return None
    names = FileNames()
    numbers: dict[str, int] = {}
    for number, scope in enumerate(scopes):
        own = []
        for template in templates:
            try:
                own.append(to_text(template.render(scope)))
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
    for_each = step.for_each
    if for_each is None or for_each.count is None:
        return []
    try:
        items = list_items(for_each, {})
    except TemplateError:
        # Its lists have templates.
        return []
    count = len(items)
    return [
        {
            EACH: {"index": number, "first": number == 0, "last": number == count - 1},
            "repetition": for_each.repetition_of(number),
            **for_each.variables(item),
        }
        for number, item in enumerate(items)
    ]


def _templates(step: StepDef, *, is_in_loop: bool = False) -> Iterator[Template]:
    """The paths of an item, and of the steps in it that run in any case.

    A path that depends on a round of a loop in the item is left out.
    """
    is_in_loop |= step.loop is not None
    for file in step.files:
        for text in _names(file):
            try:
                template = parse_template(text)
            except TemplateError:
                # The check of the texts reports it.
                continue
            references = [one for part in template.expressions for one in part.references]
            if not is_in_loop or all(one.path[0] != ROUND for one in references):
                yield template
    if step.inputs is not None:
        return
    for inner in step.steps:
        if inner.condition is None and inner.for_each is None:
            yield from _templates(inner, is_in_loop=is_in_loop)


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
