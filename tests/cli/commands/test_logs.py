"""`orc logs`: the logs of a step's attempts, also of an attempt that is running."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from orc.scheduler.core.commands import ResumeJob
from tests.builders import OWNER, step
from tests.cli.command_line import orc, submit, write
from tests.cli.commands.conftest import PRINTS
from tests.processes import end_process, run_orc, start_orc, wait_until
from tests.projections.support import begun, open_in
from tests.projections.support import write as write_down

WAITS = """\
project: waits
steps:
  talk: {run: "printf 'begun\\nand'; until test -e ../../go; do sleep 0.02; done; echo over"}
  skipped: {if: "${{ false }}", run: "true"}
"""


def test_logs_has_every_attempt_and_what_is_printed_is_made_safe(prints: str) -> None:
    said = orc("logs", prints, "talk")
    assert said.code == 0
    assert said.out == "one\ttab\n\\x1b[2Jtwo\n" * 2
    assert said.err == "== talk, attempt 1\n== talk, attempt 2\n"
    assert orc("logs", prints, "talk", "--attempt", "2").out == "one\ttab\n\\x1b[2Jtwo\n"
    first, second = orc("logs", prints, "talk", "--json").lines()
    assert first["log"] == second["log"] == "one\ttab\n\x1b[2Jtwo"
    assert [first["attempt"], second["attempt"]] == [1, 2]


def test_the_texts_of_a_prompt_are_shown_in_place_of_a_log(here: Path) -> None:
    job = submit("project: p\nprovider: ollama\nsteps: {a: {prompt: hi}}\n")
    assert f"`orc show {job} a` shows what was asked and answered" in orc("logs", job, "a").err


def test_raw_logs_are_the_bytes(prints: str, here: Path) -> None:
    said = run_orc("logs", prints, "talk", "--raw", "--attempt", "1", cwd=here)
    assert said.stdout == "one\ttab\n\x1b[2Jtwo"
    refused = orc("logs", prints, "talk", "--raw", "--json")
    assert (refused.code, "choose one" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("quiet", "quiet has printed nothing"),
        ("each", "each has no log; the steps inside it have logs: each[0], each[1]"),
        ("deep", "deep has no log; the steps inside it have logs: deep[0]/er[0]/leaf"),
        ("given", "given is of kind value and has no log; `orc show JOB given --output`"),
    ],
)
def test_a_step_without_a_log_says_where_to_look(prints: str, step: str, said: str) -> None:
    found = orc("logs", prints, step)
    assert (found.code, found.out) == (0, "")
    assert said.replace("JOB", prints) in found.err


def test_a_missing_step_or_attempt_is_reported(prints: str) -> None:
    for arguments, code, said in (
        ((prints, "tlak"), 2, "did you mean 'talk'"),
        ((prints, "talk", "--attempt", "9"), 2, "talk has no attempt 9: it has 2"),
        (("job_nowhere", "talk"), 6, "job_nowhere"),
    ):
        found = orc("logs", *arguments)
        assert found.code == code
        assert said in found.err


def test_removed_logs_say_who_removed_them(here: Path) -> None:
    long = PRINTS.replace("echo the end", "seq 2000")
    job = submit(long)
    assert orc("prune", "--job", job, "--yes").code == 0
    found = orc("logs", job, "last")
    assert (found.code, found.out) == (0, "")
    assert "\n  the bytes of blob " in found.err
    assert "were removed by orc prune" in found.err


def test_a_log_is_followed_while_another_process_writes_it(here: Path) -> None:
    runner = start_orc("run", str(write("spec.yaml", WAITS)), "--quiet", cwd=here)
    try:
        wait_until(lambda: (here / "runs.db").exists() and "talk" in orc("tail", "latest").out)
        reader = start_orc("logs", "latest", "talk", "-f", cwd=here)
        try:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "begun\n"
            job = json.loads(orc("show", "latest", "--json").out)
            assert job["status"] == "running"
            # Without -f it prints what exists; with -f it ends when nothing more can follow.
            assert orc("logs", "latest", "talk").out == "begun\nand\n"
            unfinished = orc("logs", "latest", "talk", "--json").json()
            assert (unfinished["running"], unfinished["log"]) == (True, "begun\nand")
            assert "it is skipped" in orc("logs", "latest", "skipped", "-f").err
            assert orc("logs", "latest", "skipped", "-f", "--attempt", "1").code == 2
            (Path(job["folder"]) / "go").touch()
            assert reader.communicate(timeout=30)[0] == "andover\n"
            assert reader.returncode == 0
        finally:
            end_process(reader)
        assert runner.wait(timeout=30) == 0
    finally:
        end_process(runner)


def test_what_was_printed_before_the_process_died_is_in_the_run_folder(here: Path) -> None:
    runs = here / "runs"
    story = begun(step("a", kind="run"), runs_dir=str(runs)).start("a")
    log = runs / story.job_id / "logs" / "a.1.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"so far \x1b[2J")
    with open_in(here) as ledger:
        write_down(ledger, story)
        killed = orc("logs", "latest", "a")
        ledger.append(story.tell(ResumeJob(OWNER)).stream[3:])
    resumed = orc("logs", "latest", "a")
    assert killed == resumed
    assert killed.out == "so far \\x1b[2J\n"
    assert "attempt 1, cut short: read from the run folder" in killed.err
    assert orc("logs", "latest", "a", "--json").json()["log"] == "so far \x1b[2J"
    log.unlink()
    (here / "elsewhere").write_text("no log")
    log.symlink_to(here / "elsewhere")
    assert orc("logs", "latest", "a").out == ""


def test_tables_of_an_older_version_are_rebuilt_first(prints: str, here: Path) -> None:
    for arguments in (
        ("logs", prints, "talk"),
        ("export", prints, "--format", "junit", "--to", "-"),
    ):
        connection = sqlite3.connect(here / "runs.db")
        connection.execute("ALTER TABLE steps DROP COLUMN reused_from")
        connection.execute("UPDATE orc_meta SET value = '4' WHERE key = 'read_model'")
        connection.commit()
        connection.close()
        said = orc(*arguments)
        assert said.code == 0, said.err
        assert "two" in said.out
