"""Answers a full-text search over the prompts, replies, outputs and logs of a ledger.

The index finds the events. Their texts are read from the ledger, so that removed texts are not shown.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.codec import EVENT_COLUMNS, row_to_recorded
from orc.ledger.connection import storage_errors
from orc.ledger.errors import LedgerError, describe_unreadable
from orc.ledger.reader import LedgerReader
from orc.projections.search.file import remove_index
from orc.projections.search.index import SearchIndex, last_position, open_index
from orc.projections.search.query import BEGIN, END, TOKENIZER, match_expression, spaced
from orc.projections.search.snippets import ELLIPSIS, pieces_of
from orc.projections.search.texts import texts_of
from orc.projections.tables.own_schema import check_own_tables

PAGE_HITS = 25
PAGES_MAX = 40
"""The most pages of results; a search with more hits needs more words."""

INDEX_S = 2.0
QUERY_S = 1.0
"""How long one search may update the index, and then query it, in seconds."""

_SNIPPET_TOKENS = 40


class Hit(Struct, frozen=True):
    """A text that matches: its event (`job_id`, `version`), and the part around the match.

    `pieces` are the parts of the text in order, each with whether it is a match. If the text cannot
    be read, there are none, and `lost` is the reason.
    """

    job_id: str
    version: int
    at: str
    step: str
    attempt: int | None
    call: int | None
    what: str
    pieces: tuple[tuple[str, bool], ...] = ()
    lost: str | None = None


class SearchResults(Struct, frozen=True):
    """The result of a search: one page of hits, newest or best first, and the number of all.

    `count` is at most `PAGE_HITS * PAGES_MAX`; `has_more` is true if there are more. The index has
    `indexed` of the ledger's `events` events: if fewer, a later search may find more. `problem` is
    the reason why there is no answer.
    """

    hits: tuple[Hit, ...] = ()
    count: int = 0
    has_more: bool = False
    page: int = 1
    indexed: int = 0
    events: int = 0
    is_kept: bool = True
    problem: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the whole ledger was searched."""
        return self.indexed >= self.events

    @property
    def pages(self) -> int:
        """The number of pages."""
        return -(-self.count // PAGE_HITS)


class SearchQuery(Struct, frozen=True):
    """A search: the words, and optionally one job or some jobs, one kind of text
    (`texts.KINDS`), and the order."""

    text: str
    job_id: str | None = None
    what: str | None = None
    page: int = 1
    best_first: bool = False
    page_hits: int = PAGE_HITS
    job_ids: tuple[str, ...] | None = None


def search(database: Path, asked: SearchQuery, *, index_s: float = INDEX_S) -> SearchResults:
    """Update the index for about `index_s` seconds at most, then search the ledger at that path.

    Raises what `LedgerReader.open` raises, and LedgerError.
    """
    with LedgerReader.open(database) as reader, storage_errors(database):
        check_own_tables(reader.connection)
        try:
            return _search(reader, asked, index_s)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            # Probably the index is damaged. If the ledger is, the second search fails as well.
            remove_index(database)
            return _search(reader, asked, index_s)


def _search(reader: LedgerReader, asked: SearchQuery, index_s: float) -> SearchResults:
    expression = match_expression(asked.text)
    with open_index(reader.path) as index:
        index.follow(reader, within_s=index_s)
        state = SearchResults(
            page=max(1, min(asked.page, PAGES_MAX)),
            indexed=index.position,
            events=last_position(reader),
            is_kept=index.is_kept,
        )
        if expression is None:
            return replace(state, problem="name a word to look for" if asked.text.strip() else None)
        try:
            places, count = _places(index, expression, asked, state.page)
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            return replace(
                state, problem="the search took too long; name more words, or a job to look in"
            )
    count_max = asked.page_hits * PAGES_MAX
    return replace(
        state,
        hits=tuple(_hits(reader, expression, places)),
        count=min(count, count_max),
        has_more=count > count_max,
    )


def _places(
    index: SearchIndex, expression: str, asked: SearchQuery, page: int
) -> tuple[list[tuple[int, str]], int]:
    """The positions and kinds of a page's hits, and the number of all hits, at most the maximum + 1."""
    chosen = "FROM words JOIN places ON places.id = words.rowid WHERE words MATCH ?"
    values: list[object] = [expression]
    if asked.job_id is not None:
        first, last = index.connection.execute(
            "SELECT min(id), max(id) FROM places WHERE job_id = ?", (asked.job_id,)
        ).fetchone()
        chosen += " AND words.rowid BETWEEN ? AND ? AND places.job_id = ?"
        values += [first or 0, last or 0, asked.job_id]
    if asked.job_ids is not None:
        chosen += " AND places.job_id IN (SELECT value FROM json_each(?))"
        values.append(json.dumps(asked.job_ids))
    if asked.what is not None:
        chosen += " AND places.what = ?"
        values.append(asked.what)
    order = "words.rank" if asked.best_first else "words.rowid DESC"
    count_max = asked.page_hits * PAGES_MAX
    with _within(index, QUERY_S):
        places = index.connection.execute(
            f"SELECT places.position, places.what {chosen} ORDER BY {order} LIMIT ? OFFSET ?",
            (*values, asked.page_hits, (page - 1) * asked.page_hits),
        ).fetchall()
        (count,) = index.connection.execute(
            f"SELECT count(*) FROM (SELECT 1 {chosen} LIMIT ?)", (*values, count_max + 1)
        ).fetchone()
    return places, count


@contextmanager
def _within(index: SearchIndex, limit_s: float) -> Iterator[None]:
    """Let SQLite raise an OperationalError, "interrupted", if a query of the index takes longer."""
    if not index.is_kept:
        # All threads share this connection: the limit would apply to their queries too.
        yield
        return
    deadline = time.monotonic() + limit_s
    index.connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    try:
        yield
    finally:
        index.connection.set_progress_handler(None, 0)


def _hits(reader: LedgerReader, expression: str, places: list[tuple[int, str]]) -> Iterator[Hit]:
    read = [_read(reader, *place) for place in places]
    with closing(sqlite3.connect(":memory:")) as memory:
        memory.execute(f"CREATE VIRTUAL TABLE texts USING fts5(text, tokenize='{TOKENIZER}')")
        memory.executemany(
            "INSERT INTO texts (rowid, text) VALUES (?, ?)",
            [(number, spaced(text)) for number, (_, text) in enumerate(read)],
        )
        snippets = dict(
            memory.execute(
                f"SELECT rowid, snippet(texts, 0, ?, ?, '{ELLIPSIS}', {_SNIPPET_TOKENS}) "
                "FROM texts WHERE texts MATCH ?",
                (BEGIN, END, expression),
            )
        )
    for number, (hit, text) in enumerate(read):
        # If the snippet does not match, as the index did, the text is shown without marks.
        yield replace(hit, pieces=tuple(pieces_of(snippets.get(number), text)))


def _read(reader: LedgerReader, position: int, what: str) -> tuple[Hit, str]:
    """A hit without pieces, and its whole text."""
    row = reader.connection.execute(
        f"SELECT {EVENT_COLUMNS} FROM events WHERE position = ?", (position,)
    ).fetchone()
    recorded = row_to_recorded(row)
    event = recorded.event
    hit = Hit(
        job_id=recorded.job_id,
        version=recorded.version,
        at=recorded.recorded_at,
        step=getattr(event, "step", ""),
        attempt=getattr(event, "attempt", None),
        call=getattr(event, "call", None),
        what=what,
    )
    try:
        return hit, dict(texts_of(reader, recorded)).get(what, "")
    except LedgerError as error:
        return replace(hit, lost=describe_unreadable(error)), ""
