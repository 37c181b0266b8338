"""The table of the steps inside one step on its page: a part of it, filtered and sorted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from orc.ledger.reader import LedgerReader
from orc.projections.history.items import ItemLine, lines_of, one_line, read_inputs
from orc.projections.pages.item_columns import ItemColumn, columns_of, sorted_by
from orc.projections.tables.job_view import JobView
from orc.projections.tables.rows import StepRow
from orc.projections.tables.status import step_state

ROWS_MAX = 100


class ItemFilter(Struct, frozen=True):
    """Which lines are shown: of this state, with this text in id or input, in this order, this part."""

    state: str | None = None
    text: str | None = None
    sort: str | None = None
    column: int | None = None
    """The number of an input column from 0, for the orders `BY_COLUMN`."""
    part: int = 1


class ItemPage(Struct, frozen=True):
    """A part of the lines. `counts` has the number of all steps in each state.

    `cells` has the texts of the input columns for each line; `columns_left` counts columns that are
    not shown. `matching` is the number of lines that the filter leaves, `parts` that of their parts.
    """

    lines: tuple[ItemLine, ...]
    columns: tuple[ItemColumn, ...]
    cells: tuple[tuple[str, ...], ...]
    columns_left: int
    wanted: ItemFilter
    total: int
    matching: int
    parts: int
    counts: Mapping[str, int]


_ORDERS: dict[str, Callable[[JobView, StepRow], Any]] = {
    "slowest": lambda view, step: -(step.duration_s or 0),
    "most tokens": lambda view, step: -view.usage[step.name].tokens,
    "most expensive": lambda view, step: -(view.usage[step.name].cost_nano_usd or 0),
    "most attempts": lambda view, step: -step.attempts,
}
ORDERS = tuple(_ORDERS)
"""The orders besides that of the items themselves."""
BY_COLUMN = ("ascending", "descending")
"""The orders by an input column."""


def read_item_page(
    reader: LedgerReader, view: JobView, container: str, wanted: ItemFilter, *, is_live: bool
) -> ItemPage | None:
    """The lines of the steps directly inside `container`; None if there are none."""
    children = view.children_of.get(container, [])
    if not children:
        return None
    inputs = read_inputs(reader, view.job.job_id, container)
    columns, columns_left = columns_of(inputs.values())
    state_of = partial(step_state, view, is_live=is_live)
    counts = Counter(map(state_of, children))
    found = children
    if wanted.state is not None:
        found = [child for child in found if state_of(child) == wanted.state]
    if wanted.text is not None:
        found = _with_text(inputs, found, wanted.text)
    if wanted.sort in BY_COLUMN and wanted.column is not None and wanted.column < len(columns):
        by_name = {child.name: child for child in found}
        names = sorted_by(
            columns[wanted.column], [*by_name], inputs, is_descending=wanted.sort == "descending"
        )
        found = [by_name[name] for name in names]
    elif wanted.sort in _ORDERS:
        found = sorted(found, key=partial(_ORDERS[wanted.sort], view))
    start = (wanted.part - 1) * ROWS_MAX
    lines = lines_of(reader, view, container, found[start : start + ROWS_MAX], inputs)
    return ItemPage(
        tuple(lines),
        columns,
        tuple(
            tuple(
                column.text(inputs[line.step.name]) if line.step.name in inputs else ""
                for column in columns
            )
            for line in lines
        ),
        columns_left,
        wanted,
        len(children),
        len(found),
        max(1, -(-len(found) // ROWS_MAX)),
        counts,
    )


def _with_text(inputs: Mapping[str, Any], steps: Sequence[StepRow], text: str) -> list[StepRow]:
    sought = text.casefold()
    return [
        step
        for step in steps
        if sought in step.name.casefold()
        or sought in (step.item_key or "").casefold()
        or (step.name in inputs and sought in one_line(inputs[step.name]).casefold())
    ]
