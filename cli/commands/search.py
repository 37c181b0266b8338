"""`orc search`: searches what models were asked and answered, and what steps printed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from orc.cli.completion import complete_jobs
from orc.cli.errors import UsageProblem
from orc.cli.opening import database_path
from orc.cli.options import Database, Json
from orc.cli.terminal.text import put, put_json, safe, say
from orc.ledger import LedgerReader
from orc.projections.search.query import match_expression
from orc.projections.search.search import Hit, SearchQuery, SearchResults
from orc.projections.search.search import search as search_ledger
from orc.projections.search.texts import KINDS
from orc.scheduler.core.errors import nearest

_SLICE_S = 1.0
_WAIT_S = 0.2


def command(
    words: Annotated[
        list[str],
        typer.Argument(
            help='What to look for: words, "a phrase", begin*, -without; behind -- if it begins '
            "with a dash.",
            metavar="TEXT...",
        ),
    ],
    job: Annotated[
        str | None,
        typer.Option(
            help="Only in this job: an id, any unique part of one, or `latest`.",
            metavar="JOB",
            autocompletion=complete_jobs,
        ),
    ] = None,
    what: Annotated[
        str | None,
        typer.Option(
            help="Only prompt, reply, tool, output, log, failure, or decision.", metavar="KIND"
        ),
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", help="How many to show.", min=1)] = 25,
    best: Annotated[bool, typer.Option("--best", help="Best first, not newest first.")] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Search prompts, replies, logs and all that steps said."""
    text = " ".join(words)
    if match_expression(text) is None:
        raise UsageProblem("name a word to look for")
    if what is not None and what not in KINDS:
        raise UsageProblem(f"--what {what}: is none of {', '.join(KINDS)}{nearest(what, KINDS)}")
    path = database_path(database)
    job_id = None
    if job is not None:
        with LedgerReader.open(path) as reader:
            job_id = reader.find_job(job)
    asked = SearchQuery(text, job_id=job_id, what=what, best_first=best, page_hits=min(limit, 1000))
    found = _search(path, asked)
    if found.problem is not None:
        raise UsageProblem(found.problem)
    _tell(found, as_json=as_json)
    return 0


def _search(path: Path, asked: SearchQuery) -> SearchResults:
    """All of the ledger is indexed first, and how far that is, is said where it takes a while."""
    found = search_ledger(path, asked, index_s=_SLICE_S)
    # What comes while this goes on is not waited for: jobs may run.
    wanted, before = found.events, -1
    while found.indexed < wanted:
        if found.indexed > before:
            say(f"indexing: {100 * found.indexed // wanted}%")
        else:
            # Another process is at it.
            time.sleep(_WAIT_S)
        before = found.indexed
        found = search_ledger(path, asked, index_s=_SLICE_S)
    return found


def _tell(found: SearchResults, *, as_json: bool) -> None:
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
        say(f"shown: {len(found.hits)}; more with -n, fewer with --job, --what or more words")


def _text(hit: Hit) -> str:
    if hit.lost is not None:
        return f"its bytes {hit.lost}"
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
