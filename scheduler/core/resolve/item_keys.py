"""The keys of the items of a fan-out: when it begins, and before the job where they are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from orc.ledger.definition import ForEachDef, JobDef
from orc.ledger.digest import clean_text
from orc.ledger.inputs.read_inputs import ReadInput
from orc.ledger.wording import number_text
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.language.templates import parse_template
from orc.scheduler.core.language.values import to_text
from orc.scheduler.core.resolve.known_steps import SCOPES_MAX, may_hold, scopes_of_items
from orc.scheduler.core.resolve.settings import is_known, scope_at_submission

GIVEN_KEY_CHARS_MAX = 1000
"""The maximum length of a key as the spec gives it."""

RowsOf = Callable[[ReadInput], list[Any] | None]
"""The rows or files of an input that was read, as far as templates of keys see them; None: unknown."""


def keys_of(for_each: ForEachDef, scopes: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The keys of the items, whose variables are given in order. Raises TemplateError."""
    assert for_each.key is not None
    template = parse_template(for_each.key)
    keys: dict[str, int] = {}
    for number, scope in enumerate(scopes):
        key = clean_text(to_text(template.render(scope)))
        if not key.strip() or len(key) > GIVEN_KEY_CHARS_MAX:
            problem = "is empty" if not key.strip() else "is too long"
            raise TemplateError(
                f"key: the key of item {number} {problem}: {key[:80]!r}; a key is a text of at "
                f"most {number_text(GIVEN_KEY_CHARS_MAX)} characters"
            )
        if for_each.repeat is not None:
            key += f"-{for_each.repetition_of(number)}"
        other = keys.setdefault(key, number)
        if other != number:
            raise TemplateError(
                f"key: items {other} and {number} have the same key {key[:80]!r}; keys must be "
                "unique"
            )
    return tuple(keys)


def bad_keys(definition: JobDef, rows_of: RowsOf) -> Iterator[tuple[str, str]]:
    """The outermost fan-outs whose keys are known and cannot be those of items, with the problem.

    Of each, the first 10,000 items are looked at.
    """
    scope = scope_at_submission(definition)
    read = {name: rows_of(found) for name, found in definition.read.items()}
    inputs = {name: rows for name, rows in read.items() if rows is not None}
    scope = {**scope, "inputs": {**scope["inputs"], **inputs}}
    for step in definition.steps:
        if (
            step.for_each is None
            or step.for_each.key is None
            or not may_hold(step.condition, scope)
        ):
            continue
        items = scopes_of_items(step, [scope])
        if items is None or not items or not is_known(step.for_each.key, items[0]):
            continue
        try:
            keys_of(step.for_each, islice(items, SCOPES_MAX))
        except TemplateError as error:
            yield step.id, str(error)
