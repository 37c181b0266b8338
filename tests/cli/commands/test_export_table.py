"""`orc export --table`, data frames, and the example with DuckDB."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

import orc as api
from orc.ledger import tables as frames
from tests.cli.command_line import orc, write

SPEC = "project: p\nsteps:\n  a: {value: 1}\n  b: {run: 'echo x >&2; exit 3'}\n"


@pytest.fixture
def ran(here: Path) -> Path:
    orc("run", write("s.yaml", SPEC))
    orc("run", write("s.yaml", SPEC))
    return here


def test_a_table_is_csv_or_lines_of_json(ran: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(orc("export", "--table", "steps").out)))
    assert [row["name"] for row in rows] == ["a", "b", "a", "b"]
    lines = orc("export", "latest", "--table", "steps", "--format", "jsonl").out.splitlines()
    values = [json.loads(line) for line in lines]
    assert [one["name"] for one in values] == ["a", "b"]
    assert values[0]["failure"] is None
    assert rows[0]["failure"] == ""


def test_a_table_becomes_a_file_that_is_replaced_only_by_force(ran: Path) -> None:
    done = orc("export", "--table", "jobs", "--to", "jobs.csv", "--json").json()
    assert done["file"].endswith("jobs.csv")
    assert Path("jobs.csv").read_text().startswith("job_id,name,")
    assert orc("export", "--table", "jobs", "--to", "jobs.csv").code != 0
    assert orc("export", "--table", "jobs", "--to", "jobs.csv", "--force").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--table", "step"), "did you mean 'steps'?"),
        (("--table", "events"), "no table 'events'; known: attempts, "),
        (("--table", "steps", "--format", "html"), "not a format of tables"),
        (("--table", "steps", "--format", "parquet"), "name it with --to"),
        (("--table", "steps", "--no-content"), "--content/--no-content"),
        (("latest", "--format", "csv"), "add --table NAME"),
        ((), "name the job to export"),
    ],
)
def test_what_makes_no_table_is_refused(ran: Path, arguments: tuple[str, ...], said: str) -> None:
    refused = orc("export", *arguments)
    assert (refused.code, said in refused.err) == (2, True), refused.err
    assert refused.err.count("llm_calls") <= 1, "the tables are listed once"


def test_parquet_is_read_by_duckdb(ran: Path) -> None:
    pytest.importorskip("pyarrow")
    duckdb = pytest.importorskip("duckdb")
    done = orc("export", "--table", "steps", "--format", "parquet", "--to", "steps.parquet")
    assert done.code == 0, done.err
    found = duckdb.sql(
        "SELECT status, count(*) FROM 'steps.parquet' GROUP BY status ORDER BY status"
    ).fetchall()
    assert found == [("failed", 2), ("succeeded", 2)]


def test_data_frames_of_a_job_and_of_a_table(ran: Path) -> None:
    pytest.importorskip("pandas")
    job = api.job("latest")
    assert list(job.steps_df()["step"]) == ["a", "b"]
    with api.open_ledger() as ledger:
        assert list(ledger.df("steps")["status"]) == ["succeeded", "failed"] * 2
        assert len(ledger.df("steps", job_id=job.job_id)) == 2
        with pytest.raises(KeyError, match="no table 'step'"):
            ledger.df("step")


def test_without_a_package_for_data_frames_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(frames, "import_module", missing)
    with pytest.raises(frames.NoDataFrames, match="pandas or polars"):
        frames.data_frame(["a"], [])


def test_a_job_in_a_notebook_is_escaped(ran: Path) -> None:
    html = replace(api.job("latest"), project="<i>\u202e")._repr_html_()
    assert "&lt;i&gt;\\u202e job_" in html
    assert "<td>a</td><td>succeeded</td>" in html
