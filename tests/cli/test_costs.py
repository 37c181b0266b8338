"""The cost of a job is the same in every output, and an unknown price is never shown as 0."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orc.cli.jobs.caller.price_file import parse_prices
from orc.cli.jobs.state import load_state
from orc.cli.terminal.live import LiveTable
from orc.ledger import LedgerReader
from tests.cli.command_line import orc, write

SPEC = """\
project: priced
provider: replay
steps:
  first: {prompt: One}
  second: {prompt: Two}
"""
PRICES = "models: {openai: {known: {input: 1, cached_input: 0.5, output: 2}}}\n"
USAGE = "{input_tokens: 1000, cached_tokens: 400, output_tokens: 500}"
COST_USD = 0.0018


def run_job(*models: str) -> list[dict[str, Any]]:
    """Run two steps with replies of these models; the JSON lines of the run."""
    first, second = (f"[{{text: yes, model: {model}, usage: {USAGE}}}]" for model in models)
    write("replies.yaml", f"replies:\n  first: {first}\n  second: {second}\n")
    return orc("run", write("spec.yaml", SPEC), "--replies", "replies.yaml", "--json").lines()


def manifest_of(job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("runs", job_id, "manifest.json").read_text("utf-8"))
    return found


def test_a_known_cost_is_the_same_in_the_last_line_in_show_in_list_and_in_the_manifest(
    here: Path,
) -> None:
    write("prices.yaml", PRICES)
    done = run_job("known", "known-2026-01-01")[-1]
    shown, listed = orc("show", "latest", "--json").json(), orc("list", "--json").json()
    manifest = manifest_of(done["job_id"])

    assert done["cost_usd"] == 2 * COST_USD
    for found in (shown, listed, manifest):
        assert (found["cost_usd"], found["cost_known_usd"]) == (2 * COST_USD, 2 * COST_USD)
        assert found["calls_unpriced"] == 0
    assert [step["cost_usd"] for step in shown["steps"]] == [COST_USD, COST_USD]
    assert "out, cost $0.0036\n" in orc("show", "latest").out


def test_the_prices_beside_the_real_file_of_a_linked_ledger_are_used(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "real").mkdir()
    write("real/prices.yaml", PRICES)
    assert orc("run", write("any.yaml", "project: any\nsteps: {a: {value: 1}}\n"),
               "--db", "real/runs.db").code == 0  # fmt: skip
    Path("link.db").symlink_to("real/runs.db")
    monkeypatch.setenv("ORC_DB", "link.db")
    spec = (
        "project: p\nprovider: openai\nmodel: known\nbudget: {max_cost_usd: 1}\n"
        "steps: {a: {prompt: One, params: {max_tokens: 9}}}\n"
    )
    said = orc("validate", write("spec.yaml", spec))
    assert said.code == 0, said.err


def test_a_partly_unknown_cost_is_null_for_programs_and_at_least_the_known_part_for_people(
    here: Path,
) -> None:
    write("prices.yaml", PRICES)
    done = run_job("known", "who-knows")[-1]
    shown, listed = orc("show", "latest", "--json").json(), orc("list", "--json").json()
    manifest = manifest_of(done["job_id"])

    assert done["cost_usd"] is None
    for found in (shown, listed, manifest):
        assert (found["cost_usd"], found["cost_known_usd"]) == (None, COST_USD)
        assert found["calls_unpriced"] == 1
    assert [step["cost_usd"] for step in shown["steps"]] == [COST_USD, None]
    said = orc("show", "latest").out
    assert "out, cost at least $0.0018 (1 call with an unknown price)\n" in said
    assert [line.split()[-1] for line in said.splitlines()[-2:]] == ["$0.0018", "unknown"]


def test_a_wholly_unknown_cost_is_called_unknown(here: Path) -> None:
    run_job("who-knows", "who-knows")
    run = orc("run", "spec.yaml", "--replies", "replies.yaml")

    assert "out, cost unknown\n" in orc("show", "latest").out
    assert "succeeded: 2 of 2 steps, 3,000 tokens, cost unknown\n" in run.err


def test_a_job_without_model_calls_costs_nothing(here: Path) -> None:
    said = orc("run", write("spec.yaml", "project: free\nsteps: {one: {value: 1}}\n"), "--json")
    done = said.lines()[-1]

    assert done["cost_usd"] == manifest_of(done["job_id"])["cost_usd"] == 0.0
    assert "no calls to models\n" in orc("show", "latest").out


def test_a_rebuild_and_an_export_use_new_prices_and_verify_finds_no_problem(
    here: Path,
) -> None:
    job_id = run_job("known", "known")[0]["job_id"]
    before = Path("runs", job_id, "manifest.json").read_bytes()
    write("prices.yaml", PRICES)

    assert orc("verify").code == 0
    assert Path("runs", job_id, "manifest.json").read_bytes() == before
    assert orc("show", job_id, "--json").json()["cost_usd"] is None
    assert orc("rebuild").code == orc("export", job_id).code == 0
    assert orc("show", job_id, "--json").json()["cost_usd"] == 2 * COST_USD
    assert manifest_of(job_id)["cost_usd"] == 2 * COST_USD
    assert orc("verify").code == 0


@pytest.mark.parametrize(
    ("found", "forged"), [('"cost_usd": 0.0036', '"cost_usd": 0.0'), ("priced", "prized")]
)
def test_a_changed_cost_in_the_manifest_is_found(here: Path, found: str, forged: str) -> None:
    write("prices.yaml", PRICES)
    path = Path("runs", run_job("known", "known")[0]["job_id"], "manifest.json")
    path.write_text(path.read_text("utf-8").replace(found, forged, 1), "utf-8")

    assert orc("verify").code == 5


def test_other_values_are_verified_under_changed_prices_too(here: Path) -> None:
    path = Path("runs", run_job("known", "known")[0]["job_id"], "manifest.json")
    path.write_text(path.read_text("utf-8").replace("priced", "prized", 1), "utf-8")
    write("prices.yaml", PRICES)

    assert orc("verify").code == 5


def test_the_tables_of_an_older_version_are_rebuilt_by_the_first_reader(here: Path) -> None:
    write("prices.yaml", PRICES)
    job_id = run_job("known", "known")[0]["job_id"]
    with closing(sqlite3.connect("runs.db", isolation_level=None)) as connection:
        connection.execute("ALTER TABLE jobs DROP COLUMN calls_unpriced")
        connection.execute("ALTER TABLE steps DROP COLUMN calls_unpriced")
        connection.execute("UPDATE orc_meta SET value = '1' WHERE key = 'read_model'")

    assert orc("show", job_id, "--json").json()["cost_usd"] == 2 * COST_USD


def test_the_live_table_shows_what_each_step_and_the_job_have_cost(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("prices.yaml", PRICES)
    job_id = run_job("known", "who-knows")[0]["job_id"]
    with LedgerReader.open(here / "runs.db") as ledger:
        recorded = list(ledger.read_stream(job_id))
        state = load_state(ledger, job_id)
    with LiveTable(parse_prices(PRICES, source_name="prices.yaml")) as table:
        table.on_job(state, job_id, here)
        table.on_events(recorded)

    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    ends = [(line[0], *line[-2:]) for line in lines if line]
    assert ("first", "1,500", "$0.0018") in ends
    assert ("second", "1,500", "unknown") in ends
    assert "3,000 tokens, cost at least $0.0018 (1 call with an unknown price)" in " ".join(
        lines[-1]
    )
