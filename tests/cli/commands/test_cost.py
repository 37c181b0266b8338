"""`orc cost`: the cost of calls by model, day, step and job."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orc.projections.datasette.reports import REPORTS
from orc.projections.tables.derived_tables import tables_at
from tests.cli.command_line import orc, submit, write
from tests.cli.commands.conftest import PRICES, USAGE, Spent
from tests.model_server import Fails, ModelServer

COST_USD = 0.0018


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


def test_savings_with_an_unknown_part_are_null_beside_the_known_part(here: Path) -> None:
    write("prices.yaml", PRICES)
    known = f"[{{text: yes, model: known, usage: {USAGE}}}]"
    other = known.replace("model: known", "model: unknown")
    write("spec.replay.yaml", f"replies:\n  one: {known}\n  two: {other}\n")
    for _ in range(2):
        submit(
            "project: saved\nprovider: replay\ncache: ledger\n"
            "steps:\n  one: {prompt: One}\n  two: {prompt: Two}\n"
        )

    total = orc("cost", "latest", "--json").json()["total"]

    assert (total["calls"], total["from_cache"], total["saved_unpriced"]) == (0, 2, 1)
    assert (total["saved_usd"], total["saved_known_usd"]) == (None, COST_USD)


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


def test_a_partly_unknown_cost_is_shown_as_such(spent: Spent) -> None:
    said = orc("cost", "--db", spent.database)

    assert "spent at least $0.0054 (2 calls with unknown prices)" in said.out
    assert "saved by the reply cache $0.0018" in said.out
    assert orc("cost", spent.failed, "--db", spent.database).err == "no model was called\n"


def test_calls_and_jobs_before_the_moment_do_not_count(spent: Spent) -> None:
    here = ("--db", spent.database)

    assert cost(spent, "--since", "9999-01-01")["groups"] == []
    assert cost(spent, "--since", "1h")["total"]["calls"] == 5
    assert len(orc("list", "--since", "1h", "--json", *here).lines()) == 3
    assert orc("list", "--since", "9999-01-01", *here).err.startswith("no job matches")


def test_invalid_choices_are_answered_with_the_nearest(spent: Spent) -> None:
    for options, part in (
        (("cost", "--by", "modl"), "did you mean 'model'?"),
        (("cost", "--since", "yesterday"), "must be a duration"),
        (("list", "--status", "fialed"), "did you mean 'failed'?"),
        (("list", "--since", "0"), "must be a duration"),
    ):
        said = orc(*options, "--db", spent.database)
        assert (said.code, said.out) == (2, ""), options
        assert part in said.err
    assert orc("cost", "zzz", "--db", spent.database).code == 6


def test_an_answer_that_was_not_counted_has_an_unknown_cost_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = {
        "choices": [{"message": {"content": "The Rhine."}, "finish_reason": "stop"}],
        "usage": None,
    }
    with ModelServer(lambda asked: Fails(200, json.dumps(answer))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        Path("spec.yaml").write_text(
            "project: p\nprovider: openai/gpt-4o-mini\nsteps:\n  a: {prompt: Name a river.}\n",
            encoding="utf-8",
        )
        assert "cost unknown" in orc("run", "spec.yaml").err
    assert "spent unknown" in orc("cost").out
    assert orc("cost", "--json").json()["total"]["cost_usd"] is None
    shown = orc("show", "latest", "a").out
    assert "1 call, no tokens reported, cost unknown" in shown
    assert shown.count("cost unknown") == 2
    with closing(sqlite3.connect("runs.db")) as connection:
        connection.row_factory = sqlite3.Row
        (report,) = connection.execute(str(REPORTS["cost_and_tokens_by_model"]["sql"])).fetchall()
        assert (report["cost_usd"], report["calls_unpriced"]) == (None, 1)
        (job_id, version) = connection.execute(
            "SELECT job_id, max(version) FROM events GROUP BY job_id"
        ).fetchone()
    with tables_at(Path("runs.db"), job_id, version) as tables:
        assert [*map(tuple, tables.execute("SELECT calls_unpriced FROM jobs"))] == [(1,)]


@pytest.mark.parametrize(
    "answer", [Fails(401, "{}"), Fails(200, "cut")], ids=["refused", "in doubt"]
)
def test_calls_that_failed_without_a_count_are_never_called_free(
    answer: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ModelServer(lambda asked: answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        Path("spec.yaml").write_text(
            "project: p\nprovider: openai/gpt-4o-mini\n"
            "steps:\n  a: {prompt: Name a river., retry: 1}\n",
            encoding="utf-8",
        )
        said = orc("run", "spec.yaml")
    assert said.code in (1, 7)
    told = [said.err, *(orc(*command.split()).out for command in ("list", "show latest"))]
    told += [orc(*command.split()).out for command in ("show latest a", "cost", "cost latest")]
    assert not any("free" in text for text in told), told
    assert "spent nothing that was counted" in told[-1]
    listed = orc("list", "--json").json()
    assert (listed["cost_usd"], listed["calls"], listed["has_cost"]) == (0, 1, False)
