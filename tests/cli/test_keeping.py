"""prune, redact, backup, bundle, import: what they do, and what every command says afterwards."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orc.ledger import OwnerLock
from orc.ledger.chain import chain_hash
from orc.ledger.digest import digest_bytes
from tests.cli.command_line import TINY_SPEC, orc, submit, write
from tests.processes import end_process, has_event, run_orc, start_orc, wait_until

CANARY = "canary-5f1d9b3c7e"
LONG = f"{CANARY} " * 100
SPEC = f"""\
project: keeping
output_dir: out
steps:
  first: {{run: "for i in 1 2 3; do printf '%0500d' $i; done; echo '{LONG}' >&2", files: [{{path: a.txt, content: "{LONG}"}}]}}
  second: {{value: "${{{{ steps.first.output }}}}!"}}
"""  # noqa: E501
UNENDED = """\
project: unended
steps:
  a: {run: "printf '%02000d' 7"}
  ask: {needs: a, approval: {message: Go on?}}
  b: {needs: ask, value: "${{ steps.a.output }}"}
"""
FILE_DIGEST = digest_bytes(LONG.encode())


def blobs(query: str = "SELECT count(*) FROM blobs WHERE typeof(content) = 'integer'") -> int:
    connection = sqlite3.connect("runs.db")
    try:
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


def prune(*options: str) -> dict[str, object]:
    said = orc("prune", *options, "--json")
    assert said.code == 0, said.err
    return said.json()


def test_a_plan_is_shown_and_nothing_removed_without_yes(here: Path) -> None:
    job = submit(SPEC)
    said = orc("prune", "--older-than", "1ms")
    assert said.code == 0
    assert job in said.out
    assert "nothing is removed yet; to do it: orc prune --older-than 1ms --yes" in said.err
    assert blobs() == 0
    assert prune("--older-than", "1h")["jobs"] == []
    assert prune("--older-than", "1ms")["removed"] is False


def test_after_a_prune_every_command_says_what_was_removed(here: Path) -> None:
    job = submit(SPEC)
    shutil.rmtree("out")
    done = prune("--older-than", "1ms", "--yes", "--reason", "old")
    assert done["removed"] is True
    assert done["compact"] is True
    assert len(list(done["blobs"])) == blobs() > 2  # type: ignore[call-overload]
    # The published files are the last copies; without --files they stay.
    assert (here / "runs" / job / "outputs/keeping/a.txt").read_text() == LONG
    assert orc("verify").code == 0

    told = r"removed by orc prune on \d{4}-\d\d-\d\d \(event \d+ of job_\w+\): old"
    show = orc("show", job)
    assert show.code == 0
    assert re.search(r"removed +the bytes of \d+ blob\(s\) .* by orc prune on .*: old", show.out)
    assert "(removed)" in orc("show", job, "--files").out
    assert orc("show", job, "--json").json()["removals"][0]["cause"] == "prune"
    assert orc("rebuild").code == 0
    assert orc("verify").code == 0
    export = orc("export", job, "--to", "copy")
    assert export.code == 0
    assert re.search(f"without outputs/keeping/a.txt: .*{told}", export.err)
    assert (here / "copy/manifest.json").exists()
    assert orc("plan", "spec.yaml").code == 0
    # A job that has succeeded is left as it is; what cannot be delivered is said.
    resumed = orc("resume", job)
    assert (resumed.code, bool(re.search(told, resumed.err))) == (2, True)
    rerun = orc("rerun", job, "--step", "second")
    assert rerun.code == 2
    assert re.search(f"cannot go on: the output of step 'first' .*{told}", rerun.err)
    # What is there no more runs again in a fork.
    fork = orc("fork", job, "--json")
    assert fork.lines()[0]["runs"]["first"] == "its result is no longer in the ledger"
    assert fork.code == 0
    # And what comes again is there again.
    assert orc("resume", job).code == 0
    assert orc("rerun", job, "--step", "first").code == 0
    assert orc("verify").code == 0
    assert not [said for said in (show, export, resumed, rerun) if "Traceback" in said.err]


def test_what_another_job_needs_stays(here: Path) -> None:
    old = submit(SPEC)
    young = orc("fork", old, "--json").lines()[0]["job_id"]
    done = prune("--job", old, "--yes")
    assert int(str(done["shared"])) >= 3
    assert FILE_DIGEST not in list(done["blobs"])  # type: ignore[call-overload]
    assert orc("verify", young).code == 0
    shutil.rmtree("runs")
    assert orc("export", young).err.count("without") == 0


def test_files_goes_further_and_takes_the_published_files_as_well(here: Path) -> None:
    job = submit(SPEC)
    done = prune("--job", job, "--files", "--yes")
    gone = {Path(path).name for path in list(done["files"])}  # type: ignore[call-overload]
    assert {"a.txt", "first.1.log"} <= gone
    assert not (here / "runs" / job / "outputs/keeping/a.txt").exists()
    # What was delivered is its author's.
    assert str(here / "out/a.txt") in list(done["files_left"])  # type: ignore[call-overload]
    assert (here / "out/a.txt").read_text() == LONG
    assert orc("verify").code == 0


def test_a_job_that_has_not_ended_is_left_out_unless_it_is_named(here: Path) -> None:
    job = submit(UNENDED)
    done = prune("--older-than", "1ms", "--yes")
    assert done["left_out"] == [{"job_id": job, "why": "it has not ended"}]
    assert orc("resume", job).code == 3
    named = prune("--job", job, "--yes")
    assert [part["job_id"] for part in named["jobs"]] == [job]  # type: ignore[attr-defined]
    resumed = orc("resume", job)
    assert resumed.code == 2
    assert "the output of step 'a' is no longer there" in resumed.err
    assert orc("verify").code == 0


def test_a_job_that_is_run_is_left_out_and_refused_where_it_has_to_be_in(here: Path) -> None:
    job, other = submit(SPEC), submit(UNENDED)
    submit("project: big\nsteps: {a: {run: \"head -c 500000 /dev/zero | tr '\\\\0' a\"}}")
    lock = OwnerLock(here / "runs.db", other)
    lock.acquire()
    done = prune("--older-than", "1ms", "--yes")
    assert done["left_out"] == [{"job_id": other, "why": "it is being run"}]
    # Another program is in the file: it is not written anew, and that is said.
    assert done["compact"] is False
    for command in (("prune", "--job", other), ("redact", FILE_DIGEST)):
        refused = orc(*command, "--yes")
        assert refused.code == 75
        assert "is being run by process" in refused.err
    lock.release()
    assert orc("verify", job).code == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("prune",), "--older-than 30d, or --job JOB"),
        (("prune", "--older-than", "soon"), "--older-than soon: must be a duration"),
        (("redact", "xyz"), "is no digest"),
        (("redact", "0" * 64), "no blob has the digest"),
        (("verify", "--head", "nonsense"), "must be JOB=HASH"),
        (("verify", "--head", "0" * 64), "must be JOB=HASH"),
    ],
)
def test_what_cannot_be_meant_is_said_with_exit_code_2(
    command: tuple[str, ...], message: str, here: Path
) -> None:
    submit(SPEC)
    said = orc(*command)
    assert said.code == 2
    assert message in said.err


def files_with(folder: Path, needle: str) -> list[str]:
    """The files of a ledger and a run folder that hold a text, read by another process."""
    program = (
        "import pathlib, sys\n"
        "for path in [*pathlib.Path(sys.argv[1]).glob('runs.db*'),"
        " *pathlib.Path(sys.argv[1]).glob('runs/**/*')]:\n"
        "    if path.is_file() and sys.argv[2].encode() in path.read_bytes(): print(path.name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), needle],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted(done.stdout.split())


def test_after_a_redaction_the_text_is_nowhere_but_where_it_is_said_to_be(here: Path) -> None:
    """The canary is in a file, in a log, in the spec and in the tables that are made of it."""
    spec = SPEC.replace("steps:", f"task_description: '{LONG}'\nsteps:", 1)
    job = submit(spec)
    assert set(files_with(here, CANARY)) >= {"runs.db", "a.txt", "first.1.log", "spec.yaml"}
    plan = orc("redact", FILE_DIGEST, "--json").json()
    also = plan["also_in_blobs"]
    # The spec as it was written and as it was resolved, and what the command printed.
    assert len(also) == 3
    assert blobs() == 0

    done = orc("redact", FILE_DIGEST, *also, "--yes", "--reason", "a key", "--json")
    assert done.code == 0, done.err
    assert done.json()["compact"] is True
    assert files_with(here, CANARY) == []
    assert done.json()["files_left"] == [str(here / "out/a.txt")]

    assert orc("verify").code == 0
    assert orc("rebuild").code == 0
    assert orc("verify").code == 0
    shown = orc("show", job)
    assert shown.code == 0
    assert re.search(r"removed .* by orc redact on .*: a key", shown.out)
    assert [step["step"] for step in orc("show", job, "--json").json()["steps"]] == [
        "first",
        "second",
    ]
    assert orc("export", job, "--to", "copy").code == 0
    assert orc("plan", "spec.yaml").code == 0
    assert orc("tail", job).code == 0
    for command in (("resume", job), ("fork", job), ("rerun", job, "--step", "second")):
        said = orc(*command)
        assert said.code == 2
        assert "were removed by orc redact on" in said.err
    # Once more finds nothing to do, and does no harm.
    assert orc("redact", FILE_DIGEST, "--yes").code == 0
    assert orc("verify").code == 0


def test_the_places_that_a_redaction_cannot_reach_are_named(here: Path) -> None:
    short = "hunter2-hunter2"
    job = submit(
        f"project: short\nsteps:\n  a: {{run: \"printf {short}; printf '%01500d' 1 >&2\", "
        f"files: [{{path: s.txt, content: {short}}}]}}\n"
    )
    said = orc("redact", digest_bytes(short.encode())[:10], "--yes")
    assert said.code == 0
    assert re.search(rf"also in event \d+ of {job} itself: events cannot be changed", said.err)


def test_a_redaction_needs_the_name_of_a_job_that_has_not_ended(here: Path) -> None:
    job = submit(UNENDED)
    digest = digest_bytes(b"0" * 1999 + b"7")
    refused = orc("redact", digest, "--yes")
    assert refused.code == 2
    assert f"--job {job}" in refused.err
    assert blobs() == 0
    assert orc("redact", digest, "--job", job, "--yes").code == 0
    assert blobs() == 1


def test_a_known_head_tells_of_a_cut_tail_and_of_a_job_that_is_gone(here: Path) -> None:
    """P12: without a known head the ledger looks as it did earlier, and the output says so."""
    job = submit(SPEC)
    head = orc("verify", job, "--json").json()["head"]
    assert orc("verify", job, "--head", head[:12]).code == 0
    assert orc("verify", "--head", f"{job}={head}").code == 0
    connection = sqlite3.connect("runs.db", isolation_level=None)
    guard = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE name = 'events_no_delete'"
    ).fetchone()[0]

    def delete(where: str) -> None:
        connection.execute("DROP TRIGGER events_no_delete")
        connection.execute(f"DELETE FROM events WHERE {where}")
        connection.execute(guard)
        assert orc("rebuild").code == 0

    delete("version = (SELECT max(version) FROM events)")
    against_folder = orc("verify")
    assert against_folder.code == 5
    assert "the manifest knows event" in against_folder.err
    shutil.rmtree("runs")
    blind = orc("verify")
    assert blind.code == 0
    assert "shows only against a head known from elsewhere" in blind.err
    known = orc("verify", "--head", f"{job}={head}")
    assert known.code == 5
    assert "was cut off" in known.err
    delete("1")
    connection.close()
    assert orc("verify").code == 0
    for command in (("verify", "--head", f"{job}={head}"), ("verify", job, "--head", head)):
        gone = orc(*command)
        assert gone.code == 5
        assert f"{job}: 1 problem(s)\n  the whole job is missing" in gone.err


def test_rows_of_the_tables_that_differ_are_named(here: Path) -> None:
    job = submit(SPEC)
    connection = sqlite3.connect("runs.db", isolation_level=None)
    connection.execute("UPDATE steps SET status = 'failed' WHERE name = 'second'")
    connection.execute("DELETE FROM files")
    connection.close()
    said = orc("verify", job, "--json")
    assert said.code == 5
    assert said.json()["problems"] == [
        f"table steps differs from the events in {job}/second; `orc rebuild` derives it anew",
        f"table files differs from the events in {job}/keeping/a.txt; `orc rebuild` derives it anew",
    ]
    assert orc("rebuild").code == 0
    assert orc("verify").code == 0


def test_every_row_that_a_run_writes_equals_its_rebuilt_one(here: Path) -> None:
    """P13, for outputs whose keys come in another order than they are stored in."""
    assert orc("run", TINY_SPEC, "--provider", "replay", "--quiet").code == 0
    assert orc("verify").code == 0


def test_a_job_travels_to_another_ledger_and_runs_there_once_it_is_trusted(here: Path) -> None:
    job = submit(UNENDED)
    assert orc("bundle", job, "job.orc").code == 0
    refused = orc("bundle", job, "job.orc")
    assert refused.code == 2
    assert "is there already" in refused.err
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
    assert "already here" in orc("import", "job.orc", "--trust", *there).err
    assert orc("resume", job, *there).code == 0
    assert orc("verify", *there).code == 0
    # Back home its history is longer; and then another one.
    assert orc("bundle", job, "longer.orc", *there).code == 0
    assert "now up to event" in orc("import", "longer.orc").err
    assert orc("rerun", job, "--step", "b", *there).code == 0
    assert orc("bundle", job, "other.orc", *there).code == 0
    assert orc("import", "longer.orc", "--trust").code == 0
    assert orc("rerun", job, "--step", "b").code == 0
    other = orc("import", "other.orc")
    assert other.code == 5
    assert "another history" in other.err


def test_a_job_that_is_run_is_not_bundled(here: Path) -> None:
    job = submit(SPEC)
    lock = OwnerLock(here / "runs.db", job)
    lock.acquire()
    refused = orc("bundle", job, "job.orc")
    lock.release()
    assert refused.code == 75
    assert not Path("job.orc").exists()


def rechain(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Change the data of each event, and make the hashes fit: what an attacker would do."""
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
def test_a_chain_that_fits_makes_no_events_of_a_job(
    change: Callable[[dict[str, object]], None], here: Path
) -> None:
    job = submit(SPEC)
    assert orc("bundle", job, "job.orc").code == 0
    rechain(here / "job.orc", change)
    (here / "there").mkdir()
    said = orc("import", "job.orc", "--db", "there/runs.db")
    assert said.code == 5, said.err
    assert "Traceback" not in said.err
    # Not even an empty ledger was made for it.
    assert not list((here / "there").iterdir())
    assert not list(here.rglob("evil*"))


def test_deep_values_of_a_bundle_end_in_no_traceback(here: Path) -> None:
    job = submit(SPEC)
    assert orc("bundle", job, "job.orc").code == 0
    rechain(here / "job.orc", _deep)
    (here / "there").mkdir()
    assert orc("import", "job.orc", "--db", "there/runs.db").code in (0, 5)


def test_no_cache_answers_from_a_job_that_nobody_trusts(here: Path) -> None:
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


def test_a_job_on_recorded_replies_says_so_when_they_are_gone(here: Path) -> None:
    assert orc("run", TINY_SPEC, "--provider", "replay", "--quiet").code == 0
    assert orc("prune", "--job", "latest", "--yes").code == 0
    said = orc("fork", "latest")
    assert said.code == 2
    assert "recorded replies are gone" in said.err
    replies = TINY_SPEC.with_name("tiny_spec.replay.yaml")
    assert orc("fork", "latest", "--replies", replies, "--quiet").code == 0
    assert orc("verify").code == 0


def test_verify_does_not_call_the_folder_of_a_running_job_changed(here: Path) -> None:
    job = submit(SPEC)
    (here / "runs" / job / "outputs/keeping/a.txt").write_text("half")
    assert orc("verify", job).code == 5
    lock = OwnerLock(here / "runs.db", job)
    lock.acquire()
    said = orc("verify", job)
    lock.release()
    assert said.code == 0
    assert "the job is being run: its folder is not compared" in said.err


@pytest.mark.parametrize("age", ["1d", "366d", "400d", "99999d", "30m"])
def test_an_age_may_be_of_many_days(here: Path, age: str) -> None:
    submit(SPEC)
    assert prune("--older-than", age)["jobs"] == []


def test_a_backup_is_made_while_a_job_runs(here: Path) -> None:
    write("spec.yaml", "project: slow\nsteps: {a: {run: 'printf 1'}, b: {needs: a, run: sleep 30}}")
    process = start_orc("run", "spec.yaml", "--quiet", cwd=here)
    try:
        wait_until(lambda: has_event(here / "runs.db", "step.started", step="b"))
        made = run_orc("backup", "copy.db", "--json", cwd=here)
        assert made.returncode == 0, made.stderr
        assert json.loads(made.stdout)["jobs"] == 1
        assert process.poll() is None
        # The job's folder goes on, and the copy does not: that is said of the job alone.
        verified = run_orc("verify", "--json", "--db", "copy.db", cwd=here)
        assert json.loads(verified.stdout.splitlines()[-1])["problems"] == []
        assert run_orc("show", "latest", "--db", "copy.db", cwd=here).returncode == 0
        again = run_orc("backup", "copy.db", cwd=here)
        assert (again.returncode, "is there already" in again.stderr) == (2, True)
        assert run_orc("backup", "copy.db", "--force", cwd=here).returncode == 0
        assert run_orc("cancel", "latest", cwd=here).returncode in (0, 8)
    finally:
        end_process(process)
