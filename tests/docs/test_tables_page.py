"""The page on the tables: its queries run, and return rows, on a ledger of recorded histories."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.docs.conftest import read_page
from tests.histories.as_ledger import write_histories

PAGE = "docs/tables.md"
_QUERY = re.compile(r"^### ([^\n]+)\n\n[^\n]+\n\n```sql\n(.*?)```$", re.DOTALL | re.MULTILINE)
QUERIES: dict[str, str] = dict(_QUERY.findall(read_page(PAGE)))
ANSWERS = {
    "Cost by model and day": {"day", "provider", "model", "cost_usd", "calls_unpriced"},
    "Tokens of a project in a month": {"project", "month", "input_tokens", "output_tokens"},
    "Slowest steps": {"step", "duration_s"},
    "The prompts that made a file": {"path", "step_id", "request"},
    "Retries, and why": {"step_id", "failure_kind", "failure", "retry_delay_s"},
    "Failed steps by kind": {"failure_kind", "steps"},
    "What the reply cache saved": {"calls", "saved_usd"},
    "Calls in doubt": {"call_id"},
    "Files by step": {"step", "path", "sha256"},
    "Waits for people": {"question", "waited_s", "decision"},
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("ledger") / "runs.db"
    write_histories(path)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def test_the_page_has_ten_queries_each_with_a_sentence() -> None:
    assert set(QUERIES) == set(ANSWERS)
    assert read_page(PAGE).count("```sql") == len(QUERIES) == 10


@pytest.mark.parametrize("title", QUERIES)
def test_a_query_returns_the_columns_on_the_page(title: str, ledger: sqlite3.Connection) -> None:
    rows = ledger.execute(QUERIES[title]).fetchall()
    assert rows
    assert ANSWERS[title] <= set(rows[0].keys())
    for name in ANSWERS[title]:
        assert any(row[name] is not None for row in rows), name
