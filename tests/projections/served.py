"""Ledgers served by Datasette in this process, and ledgers with hostile texts."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from datasette.app import Datasette

from orc.projections.tables.schema import TABLES as READ_MODEL
from orc.scheduler.core.commands import Settle
from tests.builders import step
from tests.projections.support import Story, begun

HOSTILE = "<script>alert('owned')</script><img src=x onerror=alert(1)>"
MARKUP = (
    "<script>alert('owned')</script><img src=x onerror=alert(1)></textarea></title></style>"
    "<svg/onload=alert(1)>\"'><a href=javascript:alert(1)>x</a> javascript:alert(2) {{7*7}} "
)
OBEYED = "\x1b[2J\x9b5m\x07\x7f\u202e\u2066\u200b\u2028\ufeff\U000e0041"


Get = Callable[[str], Awaitable[Any]]


def browse(*databases: Path, then: Callable[[Get], Awaitable[None]]) -> None:
    """Call `then` with a client of the databases, served as by `datasette FILE...`."""

    async def look() -> None:
        client = Datasette([str(path) for path in databases]).client

        async def get(path: str) -> Any:
            return await client.get(path, follow_redirects=True)

        await asyncio.wait_for(then(get), 30)

    asyncio.run(look())


def hostile_story() -> Story:
    """A job in which every text that a user or a model can choose is markup."""
    first = step("a", prompt="?")
    told = begun(first, step("b", needs="a"), task_description=HOSTILE, project=HOSTILE)
    told.start("a").call("a", number=1, ends="replied", text=HOSTILE + "\n" + "long " * 300)
    told.succeed("a", HOSTILE, files={"demo/<b>.md": HOSTILE.encode()})
    return told.start("b").fail("b", message=HOSTILE).tell(Settle())


def poison_tables(database: Path) -> int:
    """Put markup and control characters into every text of the tables except the keys."""
    changed = 0
    connection = sqlite3.connect(database)
    for table in READ_MODEL:
        keys = {row[3] for row in connection.execute(f"PRAGMA foreign_key_list({table})")}
        for _, name, kind, _, _, is_key in connection.execute(
            f"PRAGMA table_info({table})"
        ).fetchall():
            if kind != "TEXT" or is_key or name in keys or name.endswith("_id"):
                continue
            update = f"UPDATE {table} SET {name} = coalesce({name}, '') || ?"
            changed += connection.execute(update, (MARKUP + OBEYED,)).rowcount
    connection.commit()
    connection.close()
    return changed
