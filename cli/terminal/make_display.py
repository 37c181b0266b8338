"""Chooses the display of a run by its options, and by whether stderr is a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orc.cli.terminal.display import Display, JsonDisplay, LineDisplay, QuietDisplay
from orc.projections.money.prices import NO_PRICES, PriceTable

if TYPE_CHECKING:
    from orc.cli.terminal.live import LiveTable

    _: type[Display] = LiveTable


def make_display(
    *,
    as_json: bool,
    quiet: bool,
    stream: str | None = None,
    prices: PriceTable = NO_PRICES,
    is_asking: bool = False,
    database: Path | None = None,
) -> Display:
    """The display for these options; `stream` is the step of `--stream`, `is_asking` `--interactive`.

    `database` is the ledger, whose earlier jobs tell how long this one will take.
    """
    if stream is not None:
        from orc.cli.terminal.stream import StreamDisplay

        return StreamDisplay(stream, as_json=as_json, quiet=quiet, prices=prices)
    if as_json:
        return JsonDisplay(prices)
    if quiet:
        return QuietDisplay(prices)
    if sys.stderr.isatty():
        # Imported here, since rich loads slowly, and only the live table needs it.
        from orc.cli.terminal.live import LiveTable

        return LiveTable(prices, is_asking=is_asking, database=database)
    return LineDisplay(prices, database=database)
