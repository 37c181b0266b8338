"""`orc rebuild`: rebuilds the tables from the events."""

from __future__ import annotations

import os

from orc.cli.ledger_access import find_places
from orc.cli.options import Database, Json
from orc.cli.terminal.text import put_json, say
from orc.ledger.wording import count_text


def command(database: Database = None, as_json: Json = False) -> int:
    """Rebuild the tables from the events."""
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.places import open_for_writing

    with open_for_writing(find_places(database), os.environ, checked=False) as ledger:
        count = ledger.rebuild()
    if as_json:
        put_json({"events": count})
    else:
        say(f"tables rebuilt from {count_text(count, 'event')}")
    return 0
