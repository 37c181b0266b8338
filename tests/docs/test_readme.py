"""The README fits a screen, and what it says is so: its commands run, its claims have tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.command_line import orc, work_in
from tests.docs.conftest import ROOT, read_page
from tests.docs.walk import walk
from tests.processes import end_process, has_event, start_orc, wait_until

LINES_MAX = 120

CLAIMS = {
    "each reply with its tokens and cost": "tests/cli/test_costs.py",
    "a budget that is [never exceeded]": "tests/simulation/test_simulation.py",
    "[before anything is spent]": "tests/cli/commands/test_validate.py",
    "[never paid for again]": "tests/crash/test_sweep.py",
    "needs no server: [one file]": "tests/cli/commands/test_bundle.py",
    "scores [any pipeline]": "tests/cli/commands/test_scores.py",
    "compares two runs case by case": "tests/projections/scores",
    "runs [what an edit changes]": "tests/cli/commands/test_resume.py",
}
"""What the README says of orc beside other tools, and the tests that hold it to that."""


def test_it_fits_a_screen_and_begins_with_a_sentence_and_a_picture() -> None:
    lines = read_page("README.md").splitlines()
    assert len(lines) <= LINES_MAX
    assert lines[0] == "# orc"
    assert len(re.findall(r"\.(?= |$)", lines[2])) == 1
    assert lines[4].startswith("![")


def test_every_claim_beside_other_tools_has_a_test() -> None:
    page = re.sub(r"\[([^\]]+)\]\([^)]*glossary[^)]*\)", r"\1", read_page("README.md"))
    table = page.partition("| orc instead |")[2].partition("\n\n")[0]
    assert [claim for claim in CLAIMS if claim not in table] == []
    assert [path for path in CLAIMS.values() if not (ROOT / path).exists()] == []
    assert len(table.splitlines()) == 2 + 5


def test_its_commands_run_and_a_killed_job_asks_for_no_reply_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [item.last for item in walk("README.md", tmp_path, monkeypatch)]
    # Two jobs ask for facts, of which one is killed after its first reply and resumed.
    assert sum("Three facts about seas" in text for text in asked) == 1
    assert sum("Three facts about rivers" in text for text in asked) == 1
    assert sum("A short poem" in text for text in asked) == 3


@pytest.mark.parametrize("page", ["docs/environment.md", "docs/migration.md"])
def test_every_variable_that_the_code_reads_is_on_the_pages_that_list_them(page: str) -> None:
    pages = sorted((ROOT / "scheduler/core/resolve").glob("*.py"))
    resolver = "".join(path.read_text("utf-8") for path in pages)
    read = set(re.findall(r'"([A-Z][A-Z_]{3,})"', resolver))
    assert {"PROVIDER", "TEMPERATURE", "MAX_RETRIES"} <= read
    assert {name for name in read if f"`{name}`" not in read_page(page)} == set()


# What the pages for a start promise


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in(tmp_path, monkeypatch)


def test_the_run_folder_has_what_its_page_lists(folder: Path) -> None:
    shown = read_page("docs/run-folder.md").partition("```text\n")[2].partition("```")[0]
    names = re.findall(r"^  (\S+?)/?  ", shown, re.MULTILINE)
    assert orc("demo", "--quiet").code == 0
    [run] = (folder / "runs").iterdir()
    assert sorted(names) == sorted(path.name for path in run.iterdir())


def test_a_second_resume_exits_with_75_and_names_the_owner(folder: Path) -> None:
    (folder / "slow.yaml").write_text("project: p\nsteps: {slow: {run: sleep 30}}\n")
    owner = start_orc("run", "slow.yaml", "--quiet", cwd=folder)
    try:
        wait_until(lambda: has_event(folder / "runs.db", "step.started"))
        said = orc("resume", "latest")
        assert said.code == 75
        assert re.search(rf"is being run by process {owner.pid} on \S+;", said.err)
        assert orc("cancel", "latest").code == 0
        assert owner.wait(30) == 8
    finally:
        end_process(owner)


def test_verify_finds_a_changed_file_and_export_restores_the_folder(folder: Path) -> None:
    assert orc("demo", "--quiet").code == 0
    [changed] = folder.glob("runs/*/outputs/tiny_notes_api/main.py")
    before = changed.read_bytes()
    changed.write_bytes(before + b"more\n")
    said = orc("verify", "latest")
    assert said.code == 5
    assert "main.py was changed in the run folder" in said.out + said.err
    changed.unlink()
    assert orc("export", "latest", "--json").code == 0
    assert changed.read_bytes() == before
    assert orc("verify", "latest").code == 0


def test_files_that_orc_did_not_write_are_kept_and_the_exit_code_says_so(folder: Path) -> None:
    mine = folder / "src/generated/main.py"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine\n")
    said = orc("demo")
    assert said.code == 7
    assert "files are there that orc did not write: main.py" in said.err
    assert mine.read_text() == "mine\n"
