"""Full-text search over what a ledger's models were asked and answered, and its steps printed.

The index finds the places; the texts are read in the ledger, so that what was
removed there is not shown.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from orc.ledger.connection import storage_errors
from orc.ledger.errors import LedgerError, describe_unreadable
from orc.ledger.reader import EVENT_COLUMNS, LedgerReader, row_to_recorded
from orc.projections.search.file import remove_index
from orc.projections.search.index import SearchIndex, last_position, open_index
from orc.projections.search.query import BEGIN, END, JOINT, TOKENIZER, match_expression, spaced
from orc.projections.search.texts import texts_of

PAGE_HITS = 25
PAGES_MAX = 40
"""How far one pages; who has not found it by then asks for more words."""

INDEX_S = 2.0
QUERY_S = 1.0
"""How long one search may work on the index, and then in it."""

_SNIPPET_TOKENS = 40
_PIECE_CHARS_MAX = 240
_UNMARKED_CHARS = 600
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Hit:
    """A text with what is looked for: where it stands, and the part around it.

    `pieces` are texts as they were written, in order, each with whether it is what was looked
    for. `lost` says why there are none. `version` is that of the event.
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


@dataclass(frozen=True, slots=True)
class SearchResults:
    """What a search found: a page of hits, newest or best first, and how many there are.

    `count` is at most `PAGE_HITS * PAGES_MAX`, and `has_more` with that. Of `events` events
    `indexed` have been looked at: less means that a later search may find more. `problem` says
    why there is no answer.
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
        """Whether all of the ledger was searched."""
        return self.indexed >= self.events

    @property
    def pages(self) -> int:
        """How many pages the hits have."""
        return -(-self.count // PAGE_HITS)


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is looked for; in one job, in texts of one kind, and in which order."""

    text: str
    job_id: str | None = None
    what: str | None = None
    page: int = 1
    best_first: bool = False
    page_hits: int = PAGE_HITS


def search(database: Path, asked: SearchQuery, *, index_s: float = INDEX_S) -> SearchResults:
    """Search the ledger at that path, after about `index_s` seconds of work on its index.

    Raises what `LedgerReader.open` raises, and LedgerError.
    """
    with LedgerReader.open(database) as reader, storage_errors(database):
        try:
            return _search(reader, asked, index_s)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            # The index is damaged, most likely; should it be the ledger, it is so again.
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
                state, problem="there is too much of that; name more words, or a job to look in"
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
    """The positions and kinds of a page's hits, and the number of all, up to one too many."""
    chosen = "FROM words JOIN places ON places.id = words.rowid WHERE words MATCH ?"
    values: list[object] = [expression]
    if asked.job_id is not None:
        first, last = index.connection.execute(
            "SELECT min(id), max(id) FROM places WHERE job_id = ?", (asked.job_id,)
        ).fetchone()
        chosen += " AND words.rowid BETWEEN ? AND ? AND places.job_id = ?"
        values += [first or 0, last or 0, asked.job_id]
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
    """Let SQLite raise an OperationalError, "interrupted", where it works longer in the index."""
    if not index.is_kept:
        # One connection for all threads: its limit would be that of the others too.
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
                f"SELECT rowid, snippet(texts, 0, ?, ?, '…', {_SNIPPET_TOKENS}) "
                "FROM texts WHERE texts MATCH ?",
                (BEGIN, END, expression),
            )
        )
    for number, (hit, text) in enumerate(read):
        # Where the two do not agree on a word, the text is shown without a mark.
        snippet = snippets.get(number, text[:_UNMARKED_CHARS])
        yield replace(hit, pieces=tuple(_pieces(snippet)))


def _read(reader: LedgerReader, position: int, what: str) -> tuple[Hit, str]:
    """A hit without its pieces, and its whole text."""
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


def _pieces(snippet: str) -> Iterator[tuple[str, bool]]:
    before, *marked = snippet.replace(JOINT, "").split(BEGIN)
    if before:
        yield _shortened(before), False
    for part in marked:
        hit, _, after = part.partition(END)
        yield _shortened(hit), True
        if after:
            yield _shortened(after), False


def _shortened(text: str) -> str:
    """The text on one line, cut in its middle: a word can be a million signs long."""
    text = _SPACES.sub(" ", text)
    if len(text) <= _PIECE_CHARS_MAX:
        return text
    half = _PIECE_CHARS_MAX // 2
    return f"{text[:half]} … {text[-half:]}"
