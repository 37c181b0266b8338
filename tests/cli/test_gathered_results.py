"""Results that are too large to be one value stay within reach of every command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import orc
import orc.ledger.gathered as gathered
import orc.scheduler.branching as branching
from tests.cli.command_line import orc as orc_command
from tests.cli.command_line import write

LONG = "x" * 2000
SPEC = f"""
project: p
steps:
  list: {{value: [1, 2]}}
  each:
    for_each: ${{{{ steps.list.output }}}}
    as: n
    run: "echo ${{{{ n }}}}{LONG}"
  last: {{needs: each, run: echo done}}
"""


@pytest.fixture
def job(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(branching, "COPIED_BYTES_MAX", 1500)
        patch.setattr(gathered, "BLOB_BYTES_MAX", 1500)
        assert orc_command("run", write("spec.yaml", SPEC)).code == 0
        yield


@pytest.mark.parametrize(
    "command",
    [
        ("show", "latest"),
        ("show", "latest", "--json"),
        ("show", "latest", "--events"),
        ("why", "latest", "each"),
        ("tail", "latest"),
        ("tail", "latest", "--step", "each"),
        ("export", "latest"),
        ("export", "latest", "--format", "html"),
        ("export", "latest", "--format", "otel", "--content"),
        ("export", "latest", "--format", "ro-crate"),
        ("export", "latest", "--format", "junit"),
        ("verify",),
        ("rebuild",),
        ("search", "xxx"),
        ("bundle", "latest", "one.bundle"),
        ("backup", "two.db"),
        ("replay", "latest"),
        ("fork", "latest", "--from", "last"),
        ("rerun", "latest", "--step", "last"),
        ("rerun", "latest", "--step", "each"),
        ("resume", "latest"),
        ("plan", "spec.yaml"),
    ],
    ids=" ".join,
)
def test_every_command_works_with_it(command: tuple[str, ...], job: None) -> None:
    said = orc_command(*command)
    assert said.code == 0, said.err
    assert "Traceback" not in said.err
    if command[0] in ("fork", "rerun", "replay"):
        assert orc_command("verify").code == 0


def test_the_single_results_are_there(job: None) -> None:
    found = orc.job("latest", db="runs.db")
    assert found.outputs["each[1]"] == f"2{LONG}"
    assert "each" not in found.outputs
    assert orc_command("bundle", "latest", "one.bundle").code == 0
    assert orc_command("import", "one.bundle", "--db", "other.db").code == 0
    assert orc_command("verify", "--db", "other.db").code == 0
    assert orc.job("latest", db="other.db").outputs["each[0]"] == f"1{LONG}"


def test_a_fork_whose_results_were_removed_runs_again(job: None) -> None:
    assert orc_command("prune", "--job", "latest", "--yes").code == 0
    said = orc_command("fork", "latest", "--from", "last", "--json")
    assert said.code == 0, said.err
    assert orc.job("latest", db="runs.db").outputs["each[1]"] == f"2{LONG}"
