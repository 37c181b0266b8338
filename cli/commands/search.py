"""`orc search`: searches prompts, replies, tool calls, outputs, logs, failures and decisions."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from orc.cli.assess.unknown_tag import unknown_tag_text
from orc.cli.errors import UsageProblem
from orc.cli.ledger_access import database_path, read_tables
from orc.cli.options import NUMBER_MAX, Database, Json, TagFilter
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.text import put, put_json, safe, say
from orc.projections.search.query import match_expression
from orc.projections.tables.tags import read_tagged

if TYPE_CHECKING:
    from orc.projections.search.search import Hit, SearchQuery, SearchResults

_SLICE_S = 1.0
_WAIT_S = 0.2


def command(
    words: Annotated[
        list[str],
        Argument(
            help='What to search for: words, "a phrase", prefix*, -excluded. Put `--` before a TEXT '
            "that starts with a dash.",
            metavar="TEXT...",
        ),
    ],
    job: Annotated[
        str | None,
        Option(
            help="Only in this job: an id, a unique part of it, or `latest`.",
            metavar="JOB",
            complete="complete_jobs",
        ),
    ] = None,
    what: Annotated[
        str | None,
        Option(
            help="Only one kind of text: prompt, reply, tool, output, log, failure, decision or note.",
            metavar="KIND",
            complete=lambda: _kinds(),
        ),
    ] = None,
    limit: Annotated[
        int,
        Option(
            "-n",
            "--limit",
            help="Show at most this many results.",
            metavar="N",
            min=1,
            max=NUMBER_MAX,
        ),
    ] = 25,
    best: Annotated[
        bool, Option("--best", help="Best match first, instead of newest first.")
    ] = False,
    tag: TagFilter = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Search prompts, replies, tool calls, outputs and logs."""
    from orc.ledger import LedgerReader

    # Imported here: completion, help and an error of the line need only the options.
    from orc.projections.search.search import SearchQuery
    from orc.projections.search.texts import KINDS
    from orc.scheduler.core.errors import nearest

    text = " ".join(words)
    if match_expression(text) is None:
        raise UsageProblem("give at least one word to search for")
    if what is not None and what not in KINDS:
        raise UsageProblem(f"--what: there is no kind {what!r}{nearest(what, KINDS)}")
    path = database_path(database)
    job_id = None
    if job is not None:
        with LedgerReader.open(path) as reader:
            job_id = reader.find_job(job)
    asked = SearchQuery(
        text,
        job_id=job_id,
        what=what,
        best_first=best,
        page_hits=min(limit, 1000),
        job_ids=None if tag is None else _tagged(database, tag),
    )
    found = _search(path, asked)
    if found.problem is not None:
        raise UsageProblem(found.problem)
    _print_results(found, as_json=as_json)
    return 0


def _tagged(database: Path | None, tag: str) -> tuple[str, ...]:
    with read_tables(database) as (connection, _):
        unknown = unknown_tag_text(connection, tag)
        if unknown is not None:
            say(unknown)
        return read_tagged(connection, tag)


def _search(path: Path, asked: SearchQuery) -> SearchResults:
    """Index the whole ledger, with progress on stderr if that takes long, and search it."""
    from orc.projections.search.search import search as search_ledger

    found = search_ledger(path, asked, index_s=_SLICE_S)
    # Events that running jobs add from now on are not waited for.
    wanted, before = found.events, -1
    while found.indexed < wanted:
        if found.indexed > before:
            say(f"indexing: {100 * found.indexed // wanted}%")
        else:
            # Another process is building the index.
            time.sleep(_WAIT_S)
        before = found.indexed
        found = search_ledger(path, asked, index_s=_SLICE_S)
    return found


def _print_results(found: SearchResults, *, as_json: bool) -> None:
    if as_json:
        put_json(
            {
                "hits": [_as_json(hit) for hit in found.hits],
                "count": found.count,
                "more": found.has_more,
            }
        )
        return
    for hit in found.hits:
        tried = "" if hit.attempt is None else f" attempt {hit.attempt}"
        asked = "" if hit.call is None else f" call {hit.call}"
        put(f"{hit.job_id} {safe(hit.step)}{tried}{asked} {hit.what}  {hit.at[:19]}Z")
        put(f"    {safe(_text(hit)).strip()}")
    counted = f"more than {found.count}" if found.has_more else str(found.count)
    say(f"{counted} found" if found.count else "nothing found")
    if found.count > len(found.hits):
        say(f"{len(found.hits)} shown; -n shows more, and --job, --what or more words find fewer")


def _text(hit: Hit) -> str:
    if hit.lost is not None:
        return hit.lost
    return "".join(f"[{text}]" if is_hit else text for text, is_hit in hit.pieces)


def _as_json(hit: Hit) -> dict[str, object]:
    return {
        "job_id": hit.job_id,
        "step": hit.step,
        "attempt": hit.attempt,
        "call": hit.call,
        "what": hit.what,
        "seq": hit.version,
        "at": hit.at,
        "pieces": [{"text": text, "hit": is_hit} for text, is_hit in hit.pieces],
        "lost": hit.lost,
    }


def _kinds() -> list[str]:
    # Imported here, since only completion asks for them.
    from orc.projections.search.texts import KINDS

    return list(KINDS)
