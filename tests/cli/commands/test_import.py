"""`orc import`: a bundle of another ledger is checked, imported, and run once it is trusted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from orc.ledger.digest import chain_hash
from tests.cli.command_line import orc, submit
from tests.cli.removed_jobs import SPEC, UNENDED


def test_a_job_is_bundled_imported_and_runs_once_it_is_trusted(here: Path) -> None:
    job = submit(UNENDED)
    assert orc("bundle", job, "job.orc").code == 0
    (here / "there").mkdir()
    there = ("--db", here / "there/runs.db")
    assert orc("import", "job.orc", *there, "--json").json() == {
        "job_id": job,
        "events_before": 0,
        "events": len(orc("tail", job, "--json").lines()),
        "trusted": False,
    }
    shown = orc("show", job, *there)
    assert "not trusted" in shown.out
    assert str(here / "there/runs" / job) in shown.out
    assert orc("verify", *there).code == 0
    assert orc("export", job, *there).code == 0
    assert (here / "there/runs" / job / "manifest.json").exists()
    assert orc("approve", job, "ask", *there).code == 0
    for command in (("resume", job), ("fork", job), ("rerun", job, "--step", "a")):
        said = orc(*command, *there)
        assert said.code == 2
        assert "orc import" in said.err
        assert "--trust" in said.err
    trusting = orc("import", "job.orc", "--trust", *there).err
    assert "already in the ledger" in trusting
    assert "its author is trusted" in trusting
    assert orc("resume", job, *there).code == 0
    assert orc("verify", *there).code == 0
    # The job has more events in its first ledger; later it has other events.
    assert orc("bundle", job, "longer.orc", *there).code == 0
    assert "events 1 to 7 were in the ledger" in orc("import", "longer.orc").err
    assert orc("rerun", job, "--step", "b", *there).code == 0
    assert orc("bundle", job, "other.orc", *there).code == 0
    assert orc("import", "longer.orc", "--trust").code == 0
    assert orc("rerun", job, "--step", "b").code == 0
    other = orc("import", "other.orc")
    assert other.code == 5
    assert "different history" in other.err


def rechain(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Change the data of each event and recompute the hashes, as an attacker would."""
    connection = sqlite3.connect(path, isolation_level=None)
    for name in ("events_no_update", "blobs_no_update"):
        connection.execute(f"DROP TRIGGER {name}")
    previous = ""
    columns = "job_id, version, type, step, attempt, recorded_at, data"
    for *row, position in connection.execute(
        f"SELECT {columns}, position FROM events ORDER BY position"
    ).fetchall():
        fields = dict(zip(columns.split(", "), row, strict=True))
        fields["data"] = json.loads(str(fields["data"]))
        change(fields)
        fields["data"] = json.dumps(fields["data"], sort_keys=True)
        previous = chain_hash(previous, fields.values())
        connection.execute(
            "UPDATE events SET (type, step, attempt, data, hash) = (?, ?, ?, ?, ?) "
            "WHERE position = ?",
            (*(fields[name] for name in ("type", "step", "attempt", "data")), previous, position),
        )
    connection.close()


def _path_outside(event: dict[str, object]) -> None:
    if event["type"] == "file.written":
        event["data"]["path"] = "../../../evil.txt"  # type: ignore[index]


def _cache_outside(event: dict[str, object]) -> None:
    if event["type"] == "step.succeeded":
        event["step"] = "../../evil"


def _no_such_step(event: dict[str, object]) -> None:
    if event["type"] == "step.started":
        event["step"] = "nobody"


def _spec_of_nonsense(event: dict[str, object]) -> None:
    if event["type"] == "job.submitted":
        event["data"]["spec"] = {"value": {"steps": 7}}  # type: ignore[index]


def _deep(event: dict[str, object]) -> None:
    if event["type"] == "step.succeeded":
        value: object = 1
        for _ in range(900):
            value = [value]
        event["data"]["output"] = {"value": value}  # type: ignore[index]


@pytest.mark.parametrize(
    "change", [_path_outside, _cache_outside, _no_such_step, _spec_of_nonsense]
)
def test_invalid_events_with_a_valid_chain_are_refused(
    change: Callable[[dict[str, object]], None], here: Path
) -> None:
    job = submit(SPEC)
    assert orc("bundle", job, "job.orc").code == 0
    rechain(here / "job.orc", change)
    (here / "there").mkdir()
    said = orc("import", "job.orc", "--db", "there/runs.db")
    assert said.code == 5, said.err
    assert "Traceback" not in said.err
    # No ledger was created.
    assert not list((here / "there").iterdir())
    assert not list(here.rglob("evil*"))


def test_deep_values_of_a_bundle_end_in_no_traceback(here: Path) -> None:
    job = submit(SPEC)
    assert orc("bundle", job, "job.orc").code == 0
    rechain(here / "job.orc", _deep)
    (here / "there").mkdir()
    assert orc("import", "job.orc", "--db", "there/runs.db").code in (0, 5)


def test_no_cache_answers_from_an_untrusted_job(here: Path) -> None:
    spec = (
        "project: cached\nsteps:\n  a: {run: 'printf %01500d 1; date +%N >> ran', cache: ledger}\n"
    )
    job = submit(spec)
    assert orc("bundle", job, "job.orc").code == 0
    Path("runs.db").rename("elsewhere.db")
    for path in here.glob("runs.db-*"):
        path.unlink()
    assert orc("import", "job.orc").code == 0
    second = submit(spec)
    assert len(orc("tail", second, "--type", "step.reused", "--json").lines()) == 0
    Path("runs.db").unlink()
    assert orc("import", "job.orc", "--trust").code == 0
    third = submit(spec)
    assert len(orc("tail", third, "--type", "step.reused", "--json").lines()) == 1
