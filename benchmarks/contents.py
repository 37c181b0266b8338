"""What it costs to check the bytes of a ledger, and to search its texts."""

from __future__ import annotations

import hashlib
import sqlite3
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import jobs
from benchmarks.figures import figure_of
from benchmarks.items import spend
from benchmarks.memory import in_memory
from benchmarks.turns import in_turns
from orc.projections.search.file import index_path
from orc.projections.search.query import match_expression
from orc.projections.search.search import SearchQuery, search

_ORC = str(Path(sys.executable).with_name("orc"))
_BLOBS, _BLOB_MB = 20, 10
_TEXTS = 100_000
_FOUND = "nr777"
_ALL_INDEXED_S = 600.0
_TURNS = 5
_HASH = (
    "import hashlib, pathlib, sys\n"
    "for path in pathlib.Path(sys.argv[1]).iterdir(): hashlib.sha256(path.read_bytes())"
)
_ROWS = f"""\
import random

def rows():
    chance = random.Random(1)
    words = [f"word{{n}}" for n in range(5000)]
    return [" ".join(chance.choices(words, k=20)) + f" nr{{i}}" for i in range({_TEXTS})]
"""
_SEARCHED = """\
project: texts
concurrency: 1000
steps:
  all: {python: 'rows:rows'}
  each: {for_each: '${{ steps.all.output }}', value: '${{ item }}'}
"""


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """The rows for blobs and for searches, in memory where the system has `/dev/shm`."""
    with in_memory(folder) as place:
        return [_blobs(place, _TURNS * rounds), *_searches(place, _TURNS * rounds)]


def _blobs(folder: Path, turns: int) -> dict[str, Any]:
    """Large texts, which `orc verify` reads and hashes, beside one reading and hash of as many bytes."""
    plain, nothing = folder / "plain", folder / "nothing"
    plain.mkdir()
    nothing.mkdir()
    for number in range(_BLOBS):
        (plain / str(number)).write_bytes(_blob(number))
    module = "import hashlib\n\ndef text(number):\n    return (hashlib.sha256"
    module += f"(str(number).encode()).hexdigest() * {_BLOB_MB * 10**6 // 64})\n"
    steps = (f"  s{i}: {{python: 'blobs:text', args: {{number: {i}}}}}" for i in range(_BLOBS))
    spec = "\n".join(["project: blobs", "steps:", *steps])
    database = jobs.run_job(folder, spec, beside={"blobs.py": module})[1]
    _, empty = jobs.run_job(folder, jobs.fan(1))
    measures = {
        "verify": partial(_process_s, [_ORC, "verify", "--db", str(database)], folder),
        "verify nothing": partial(_process_s, [_ORC, "verify", "--db", str(empty)], folder),
        "hash": partial(_process_s, [sys.executable, "-c", _HASH, str(plain)], folder),
        "hash nothing": partial(_process_s, [sys.executable, "-c", _HASH, str(nothing)], folder),
    }
    found = in_turns(measures, turns)

    def rates(name: str) -> list[float]:
        pairs = zip(found[name], found[f"{name} nothing"], strict=True)
        return [_BLOBS * _BLOB_MB / (whole - start) for whole, start in pairs]

    return figure_of(
        f"orc verify, {_BLOBS} texts of {_BLOB_MB} MB: MB/s of CPU",
        rates("verify"),
        "read and hashed once: MB/s",
        rates("hash"),
        target=">= 50 MB/s",
    )


def _blob(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).hexdigest().encode() * (_BLOB_MB * 10**6 // 64)


def _process_s(program: list[str], folder: Path) -> float:
    return spend(program, folder).cpu_s


def _searches(folder: Path, turns: int) -> list[dict[str, Any]]:
    """A word that one text has, and one that many have, beside the query of the index alone."""
    database = jobs.run_job(folder, _SEARCHED, beside={"rows.py": _ROWS})[1]
    began = time.process_time()
    search(database, SearchQuery(_FOUND), index_s=_ALL_INDEXED_S)
    indexing_us = (time.process_time() - began) / _TEXTS * 1e6
    found = []
    for name, word in (("one text", _FOUND), ("many texts", "word12")):
        measures = {
            "search": partial(_search_ms, database, word),
            "index": partial(_index_ms, database, word),
        }
        taken = in_turns(measures, turns)
        found.append(
            figure_of(
                f"search of {_TEXTS:,} texts for a word of {name}: ms",
                taken["search"],
                "its query of the index: ms",
                taken["index"],
                target="<= 50 ms",
            )
        )
    return [
        *found,
        figure_of("index of texts for the search: us CPU a text", [indexing_us], "", []),
    ]


def _search_ms(database: Path, word: str) -> float:
    began = time.perf_counter()
    found = search(database, SearchQuery(word))
    took_ms = (time.perf_counter() - began) * 1e3
    assert found.hits, word
    return took_ms


def _index_ms(database: Path, word: str) -> float:
    with closing(sqlite3.connect(index_path(database))) as connection:
        began = time.perf_counter()
        query = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT 1001"
        connection.execute(query, [match_expression(word)]).fetchall()
        return (time.perf_counter() - began) * 1e3
