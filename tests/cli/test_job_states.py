"""What each command that changes a job answers in each state of the job: the table in docs/cli.md."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.cli.jobs import owner_request
from orc.ledger import OwnerLock
from tests.cli.command_line import orc, work_in, write
from tests.docs.conftest import read_page
from tests.processes import run_orc

_SPECS = {
    "waiting": "{gate: {approval: Publish?}}",
    # Before `slow` starts, the question is asked.
    "interrupted": (
        '{gate: {approval: Publish?}, first: {run: "true"}, slow: {needs: first, run: "true"}}'
    ),
    "succeeded": "{one: {value: 1}}",
    "failed": '{one: {run: "exit 3"}}',
    "cancelled": "{gate: {approval: Publish?}}",
}
_COMMANDS = {
    "cancel": ("cancel", "{job}"),
    "approve": ("approve", "{job}", "gate"),
    "reject": ("reject", "{job}", "gate"),
    "resume": ("resume", "{job}"),
    "rerun": ("rerun", "{job}", "--step", "{step}"),
    "fork": ("fork", "{job}", "--no-run"),
    "replay": ("replay", "{job}"),
    "prune": ("prune", "--job", "{job}", "--yes"),
    "redact": ("redact", "{digest}", "--yes"),
    "bundle": ("bundle", "{job}", "job.orc"),
    "export": ("export", "{job}", "--to", "folder"),
}
_ROW = re.compile(r"^\| `(?P<command>[a-z]+)` \| (?P<codes>[0-9 |]+) \|$", re.MULTILINE)
_COLUMNS = ("running", "waiting", "interrupted", "succeeded", "failed", "cancelled")


def documented() -> Iterator[tuple[str, str, int]]:
    """The cells of the table: command, state, exit code."""
    for row in _ROW.finditer(read_page("docs/cli.md")):
        codes = [int(code) for code in row["codes"].split("|")]
        for state, code in zip(_COLUMNS, codes, strict=True):
            yield row["command"], state, code


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each state, with one job in that state."""
    with pytest.MonkeyPatch.context() as patches:
        found = {}
        for state, steps in _SPECS.items():
            found[state] = work_in(tmp_path_factory.mktemp(state), patches)
            text = f"project: p\ntask_description: '{'long ' * 500}'\nsteps: {steps}\n"
            write("spec.yaml", text)
            if state == "interrupted":
                killed = "process.after_spawn@2=kill"
                run_orc("run", "spec.yaml", "-q", cwd=Path.cwd(), ORC_FAILPOINTS=killed)
            else:
                orc("run", "spec.yaml", "-q")
            if state == "cancelled":
                assert orc("cancel", "latest").code == 0
            assert orc("show", "latest", "--json").json()["status"] == state
        return found | {"running": found["interrupted"]}


def test_the_table_has_every_command_and_state() -> None:
    assert [command for command, state, _ in documented() if state == "running"] == [*_COMMANDS]


@pytest.mark.parametrize(("command", "state", "code"), [*documented()])
def test_a_command_exits_as_documented_for_each_state(
    states: dict[str, Path], here: Path, monkeypatch: pytest.MonkeyPatch,
    command: str, state: str, code: int,
) -> None:  # fmt: skip
    shutil.copytree(states[state], here, dirs_exist_ok=True)
    job = orc("list", "--json").lines()[0]["job_id"]
    events = orc("show", job, "--events", "--json").out
    digest = re.search(r'"sha256": ?"([0-9a-f]{64})"', events)
    values = {
        "job": job,
        "step": "gate" if "gate" in _SPECS.get(state, "gate") else "one",
        "digest": digest[1] if digest else "",
    }
    arguments = [argument.format(**values) for argument in _COMMANDS[command]]
    lock = OwnerLock(here / "runs.db", job)
    if state == "running":
        # An owner that answers no signal; one that does is in test_approve.py and test_cancel.py.
        monkeypatch.setattr(owner_request, "ANSWER_WAIT_S", 0.0)
        lock.acquire()
        if command in ("cancel", "approve", "reject"):
            code = 75
    try:
        said = orc(*arguments)
    finally:
        lock.release()
    assert (said.code, "Traceback" in said.err) == (code, False), said.err
    if command == "cancel":
        assert "cancelled" in said.out + said.err or state in ("running", "succeeded", "failed")
