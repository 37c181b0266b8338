"""`orc cost`, and which jobs `orc list` lists."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orc.cli.errors import UsageProblem
from orc.cli.options import parse_since
from orc.ledger.locks import OwnerLock
from tests.cli.command_line import FAILING, orc, submit, work_in, write

SPEC = """\
project: priced
provider: replay
steps:
  dear: {prompt: One, cache: ledger}
  each: {for_each: [1, 2], prompt: "Two ${{ item }}"}
"""
PRICES = "models: {openai: {known: {input: 1, cached_input: 0.5, output: 2}}}\n"
USAGE = "{input_tokens: 1000, cached_tokens: 400, output_tokens: 500}"
COST_USD = 0.0018


@dataclass(frozen=True, slots=True)
class Spent:
    """A ledger: a job that paid, its like that had one reply from the cache, and a failed one."""

    database: Path
    first: str
    second: str
    failed: str


@pytest.fixture(scope="module")
def spent(tmp_path_factory: pytest.TempPathFactory) -> Spent:
    """One ledger for all tests here."""
    with pytest.MonkeyPatch.context() as patches:
        folder = work_in(tmp_path_factory.mktemp("spent"), patches)
        write("prices.yaml", PRICES)
        known = f"[{{text: yes, model: known, usage: {USAGE}}}]"
        other = known.replace("model: known", "model: unknown")
        write(
            "spec.replay.yaml",
            f'replies:\n  dear: {known}\n  "each[0]": {known}\n  "each[1]": {other}\n',
        )
        first, second = submit(SPEC), submit(SPEC)
        return Spent(folder / "runs.db", first, second, submit(FAILING))


def cost(spent: Spent, *options: str) -> dict[str, Any]:
    return orc("cost", *options, "--json", "--db", spent.database).json()


def test_a_job_is_added_up_by_step_with_what_is_inside(spent: Spent) -> None:
    found = cost(spent, spent.first)

    groups = {group["step"]: group for group in found["groups"]}
    assert list(groups) == ["each", "dear"], "of equal known costs, the one that lacks a part first"
    assert groups["dear"]["cost_usd"] == COST_USD
    assert groups["each"]["calls"] == 2
    assert groups["each"]["cost_usd"] is None
    assert groups["each"]["cost_known_usd"] == COST_USD
    assert found["total"]["input_tokens"] == 3000
    assert found["total"]["cached_tokens"] == 1200


def test_what_the_cache_answered_costs_nothing_and_is_saved(spent: Spent) -> None:
    total = cost(spent, spent.second)["total"]

    assert (total["calls"], total["from_cache"]) == (2, 1)
    assert total["saved_usd"] == COST_USD
    assert total["cost_known_usd"] == COST_USD


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("model", {"replay/known", "replay/unknown"}),
        ("provider", {"replay"}),
        ("project", {"priced"}),
        ("step", {"priced/dear", "priced/each"}),
    ],
)
def test_the_ledger_is_added_up_by(by: str, keys: set[str], spent: Spent) -> None:
    found = cost(spent, "--by", by)

    assert {group[by] for group in found["groups"]} == keys
    assert found["total"]["calls"] == sum(group["calls"] for group in found["groups"]) == 5


def test_days_are_those_of_utc_and_jobs_their_ids(spent: Spent) -> None:
    assert {group["job"] for group in cost(spent, "--by", "job")["groups"]} == {
        spent.first,
        spent.second,
    }
    (day,) = cost(spent, "--by", "day")["groups"]
    with closing(sqlite3.connect(spent.database)) as connection:
        assert connection.execute(
            "SELECT DISTINCT substr(requested_at, 1, 10) FROM llm_calls"
        ).fetchall() == [(day["day"],)]
    assert "DAY (UTC)" in orc("cost", "--by", "day", "--db", spent.database).out


def test_a_part_that_nobody_knows_never_looks_like_the_whole(spent: Spent) -> None:
    said = orc("cost", "--db", spent.database)

    assert "spent at least $0.0054 (2 calls with unknown prices)" in said.out
    assert "saved by replies from the ledger $0.0018" in said.out
    assert orc("cost", spent.failed, "--db", spent.database).err == "no call to a model\n"


def test_calls_and_jobs_before_the_moment_do_not_count(spent: Spent) -> None:
    here = ("--db", spent.database)

    assert cost(spent, "--since", "9999-01-01")["groups"] == []
    assert cost(spent, "--since", "1h")["total"]["calls"] == 5
    assert len(orc("list", "--since", "1h", "--json", *here).lines()) == 3
    assert orc("list", "--since", "9999-01-01", *here).err.startswith("no job is like that")


def test_jobs_are_listed_by_status_and_project_the_newest_first(spent: Spent) -> None:
    def listed(*options: str) -> list[str]:
        said = orc("list", *options, "--json", "--db", spent.database)
        return [row["job_id"] for row in said.lines()]

    assert listed() == [spent.failed, spent.second, spent.first]
    assert listed("--status", "failed") == [spent.failed]
    assert listed("--status", "failed", "--status", "succeeded", "-n", "2") == [
        spent.failed,
        spent.second,
    ]
    assert listed("--project", "priced") == [spent.second, spent.first]
    assert listed("--project", "price") == listed("--status", "interrupted") == []
    table = orc("list", "--db", spent.database).out
    assert "at least $0.0036" in table


def test_a_job_that_nobody_runs_is_listed_as_interrupted_and_not_as_running(here: Path) -> None:
    job = submit("project: p\nsteps:\n  a: {value: 1}\n  b: {value: 2}\n", "--until", "a")

    assert "interrupted" in orc("list", "--status", "interrupted").out
    assert orc("list", "--status", "running").out == ""
    lock = OwnerLock(here / "runs.db", job)
    lock.acquire(wait_s=0)
    try:
        assert orc("list", "--status", "interrupted").out == ""
        assert job in orc("list", "--status", "running").out
    finally:
        lock.release()


def test_bad_choices_are_told_the_nearest(spent: Spent) -> None:
    for options, part in (
        (("cost", "--by", "modl"), "did you mean 'model'?"),
        (("cost", "--since", "yesterday"), "neither a duration"),
        (("list", "--status", "fialed"), "did you mean 'failed'?"),
        (("list", "--since", "0"), "neither a duration"),
    ):
        said = orc(*options, "--db", spent.database)
        assert (said.code, said.out) == (2, ""), options
        assert part in said.err
    assert orc("cost", "zzz", "--db", spent.database).code == 6


def test_a_moment_is_counted_back_or_read_as_utc() -> None:
    now = datetime(2026, 11, 2, 12, tzinfo=UTC)

    assert parse_since(None) is None
    assert parse_since("30m", now=now) == "2026-11-02T11:30:00.000000Z"
    assert parse_since("2d", now=now) == "2026-10-31T12:00:00.000000Z"
    assert parse_since("2026-11-01") == "2026-11-01T00:00:00.000000Z"
    assert parse_since("2026-11-01T10:00+02:00") == "2026-11-01T08:00:00.000000Z"
    with pytest.raises(UsageProblem, match="calendar"):
        parse_since("0001-01-01T00:00+05:00")
