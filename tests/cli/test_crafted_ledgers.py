"""Whatever a ledger holds, no command hangs, shows a traceback, or writes outside of its folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orc.ledger.exit_codes import VERIFICATION
from tests.cli.command_line import orc, serve_nothing, work_in, write
from tests.cli.crafted_ledgers import CRAFTED, REPLIES, SPEC, craft
from tests.processes import run_orc

SECONDS_MAX = 20
CODES = {0, 1, 2, 3, 5, 6, 7, 8, 74, 75}
COMMANDS = (
    ["list"],
    ["list", "--status", "interrupted"],
    ["show", "JOB"],
    ["show", "JOB", "--all"],
    ["show", "JOB", "--events"],
    ["show", "JOB", "--files", "--json"],
    ["why", "JOB", "asker"],
    ["why", "JOB", "broken"],
    ["tail", "JOB"],
    ["logs", "JOB", "sheller"],
    ["blame", "said.md"],
    ["diff", "JOB", "JOB"],
    ["cost", "JOB"],
    ["cost", "--by", "job"],
    ["search", "hello"],
    ["graph", "JOB"],
    ["graph", "JOB", "--format", "svg"],
    ["verify"],
    ["verify", "JOB"],
    ["export", "JOB"],
    ["export", "JOB", "--to", "copy"],
    ["export", "JOB", "--format", "html"],
    ["export", "JOB", "--format", "otel"],
    ["export", "JOB", "--format", "junit"],
    ["export", "JOB", "--format", "ro-crate"],
    ["bundle", "JOB", "job.orc"],
    ["backup", "copy.db"],
    ["import", "runs.db", "--db", "other.db"],
    ["plan", "spec.yaml"],
    ["doctor"],
    ["browse", "--no-open"],
    ["show", "JOB", "--at", "3"],
    ["rebuild"],
    ["prune", "--job", "JOB", "--yes", "--files"],
    ["redact", "0123456789ab"],
    ["approve", "JOB", "asker"],
    ["reject", "JOB", "asker"],
    ["rerun", "JOB", "--step", "each", "--dry-run"],
    ["fork", "JOB", "--no-run"],
    ["replay", "JOB"],
    ["cancel", "JOB"],
    ["resume", "JOB"],
    ["submit", "spec.yaml"],
    ["work", "--stop-when-empty"],
)
"""Each command, in the end those that change the ledger."""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patches:
        made = tmp_path_factory.mktemp("crafted") / "made"
        made.mkdir()
        folder = work_in(made, patches)
        write("spec.replay.yaml", json.dumps({"replies": REPLIES}))
        assert orc("run", write("spec.yaml", SPEC)).code == 3
    # Under another name, so that the copies do not use this job's folder, which the ledger names.
    return folder.rename(folder.with_name("kept"))


@pytest.fixture
def place(sample: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sample, in a folder beside which nothing may appear."""
    monkeypatch.setattr("orc.cli.browse.server.serve", serve_nothing)
    monkeypatch.setattr("orc.cli.jobs.owner_request.ANSWER_WAIT_S", 1.0)
    shutil.copytree(sample, here / "outer" / "inner")
    os.chdir(here / "outer" / "inner")
    return here


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    def end(*_: object) -> None:
        raise AssertionError(f"it takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _everything_but(folder: Path, inner: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_relative_to(inner)}


def _try_commands(place: Path, name: str, commands: list[list[str]]) -> None:
    """Run the commands, each on its own copy of the crafted ledger."""
    job_id = orc("list", "--json").lines()[0]["job_id"]
    craft(Path("runs.db"), CRAFTED[name])
    shutil.copy("runs.db", "crafted.db")
    outside = Path("/tmp/outside-of-the-ledger")
    before = _everything_but(place, Path.cwd())
    for command in commands:
        shutil.copy("crafted.db", "runs.db")
        with _within(SECONDS_MAX):
            said = orc(*(str(job_id) if part == "JOB" else part for part in command))
        told = (name, command, said.code, said.err[-1500:])
        assert "Traceback" not in said.err, told
        assert said.code in CODES, told
        assert said.code == 0 or said.err or said.out, told
        assert _everything_but(place, Path.cwd()) == before, told
        assert not outside.exists(), told


@pytest.mark.parametrize("name", list(CRAFTED)[::4])
def test_a_crafted_ledger_does_no_harm(name: str, place: Path) -> None:
    number = list(CRAFTED).index(name) // 4
    _try_commands(
        place, name, [command for at, command in enumerate(COMMANDS) if at % 14 == number % 14]
    )


@pytest.mark.torture
@pytest.mark.parametrize("name", CRAFTED)
def test_no_command_is_harmed_by_a_crafted_ledger(name: str, place: Path) -> None:
    _try_commands(place, name, list(COMMANDS))


@pytest.mark.parametrize(
    "name", ["events are a view", "a foreign trigger", "a job id that is a path"]
)
def test_what_is_wrong_with_a_crafted_ledger_is_named(name: str, place: Path) -> None:
    craft(Path("runs.db"), CRAFTED[name])
    verified = orc("verify")
    assert verified.code == VERIFICATION
    assert {
        "events are a view": "the table events is missing: a view has its name",
        "a foreign trigger": "the trigger other does not belong to orc; drop it",
        "a job id that is a path": "has no valid job id",
    }[name] in verified.err


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("events are a view", "show"),
        ("jobs are a view", "show"),
        ("data that is nested deeply", "tail"),
    ],
)
def test_a_process_ends_soon_with_a_message(name: str, command: str, place: Path) -> None:
    craft(Path("runs.db"), CRAFTED[name])
    done = run_orc(command, "latest", cwd=Path.cwd())
    assert done.returncode == VERIFICATION
    assert "orc verify" in done.stderr or "orc rebuild" in done.stderr
    assert "Traceback" not in done.stderr
