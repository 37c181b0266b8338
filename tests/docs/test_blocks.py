"""Every shell block of the README and the docs runs, in a folder as the page describes it.

A block that cannot run has a comment with the reason above it, which `NOT_RUN` lists.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_line import orc, work_in
from tests.docs import test_readme
from tests.docs.conftest import PAGES, Block, blocks_of, read_page, run_shell, words_of

SHELL = [
    block
    for language in ("sh", "bash")
    for block in blocks_of(*PAGES, language=language)
    # `test_tutorials.py` runs those.
    if not block.page.startswith("docs/tutorials/")
]
_MARK = re.compile(r"<!-- not executed by tests: (?P<reason>.+) -->\n\Z")
_PAGE_MARK = (
    "<!-- no block of this page is executed by tests: the commands run the tests themselves -->"
)

NOT_RUN = {
    "docs/exports.md": [
        "it needs DuckDB; tests/cli/commands/test_export_table.py asks the same",
    ],
    "README.md": ["`make torture` does, since it takes minutes"],
    "docs/cluster.md": [
        "it needs a package registry",
        "the two programs run until Ctrl-C; `tests/executors` starts them with other addresses",
        "it needs Slurm",
        "it needs other machines",
        "it needs Slurm",
    ],
    "docs/pages.md": ["it needs another machine"],
}
"""Why blocks are not executed, in the order of the blocks."""

IN_TEST_README = {
    "cd demo": (
        test_readme.test_the_demo_prints_what_the_readme_shows_and_leaves_the_files_that_it_names
    ),
    "mkdir -p demo/crash": test_readme.test_a_job_that_is_killed_as_in_the_readme_can_be_resumed,
    "orc validate hello.yaml": test_readme.test_the_readers_first_spec_runs,
}
"""The blocks of the README that another test executes, by their first lines."""

CHANGES: dict[str, tuple[str, str]] = {
    "orc work --jobs 4": ("--jobs 4", "--jobs 4 --stop-when-empty"),
}
"""What a test changes in a line: a worker runs until Ctrl-C."""

SPEC = """\
project: report
inputs: {month: {}}
steps: {a: {value: "${{ inputs.month }}"}}
"""


def reason_of(block: Block) -> str | None:
    """Why a block is not executed; None if it is."""
    lines = read_page(block.page).splitlines(keepends=True)
    if _PAGE_MARK in read_page(block.page):
        return _PAGE_MARK
    found = _MARK.search("".join(lines[: block.line - 1]))
    return None if found is None else found["reason"]


RUN = [
    block
    for block in SHELL
    if reason_of(block) is None and block.text.splitlines()[0] not in IN_TEST_README
]
PLAIN = [block for block in RUN if "--uds" not in block.text]


def test_the_blocks_that_are_not_executed_are_those_with_a_reason() -> None:
    found: dict[str, list[str]] = {}
    for block in SHELL:
        reason = reason_of(block)
        if reason is not None and reason != _PAGE_MARK:
            found.setdefault(block.page, []).append(reason)
    assert found == NOT_RUN
    firsts = [block.text.splitlines()[0] for block in blocks_of("README.md", language="sh")]
    assert set(IN_TEST_README) <= set(firsts)
    whole = {page for page in PAGES if _PAGE_MARK in read_page(page)}
    assert whole == {"docs/promises.md"}


def test_a_shell_can_parse_the_blocks_that_are_not_executed(tmp_path: Path) -> None:
    for number, block in enumerate(block for block in SHELL if block not in RUN):
        (tmp_path / f"{number}.sh").write_text(block.text)
    done = run_shell('for block in *.sh; do sh -n "$block"; done', tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which the blocks run: with the ledger of the demo, and a spec to submit."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        work_in(folder, patch)
        assert orc("demo", "-q").code == 0
        (folder / "report.yaml").write_text(SPEC)
        if shutil.which("sqlite3") is None:
            _write_sqlite(folder / "bin")
            patch.setenv("PATH", str(folder / "bin"), prepend=":")
        yield folder


def _write_sqlite(folder: Path) -> None:
    """A program `sqlite3` that runs one query."""
    folder.mkdir()
    code = (
        "import sqlite3, sys; print(sqlite3.connect(sys.argv[-2]).execute(sys.argv[-1]).fetchall())"
    )
    path = folder / "sqlite3"
    path.write_text(f"#!{sys.executable}\n{code}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("block", PLAIN, ids=str)
def test_a_block_runs(block: Block, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo)
    for line in block.text.splitlines():
        command = line
        for start, (old, new) in CHANGES.items():
            if line.startswith(start):
                command = line.replace(old, new)
        run_line(command, demo)
    for name in re.findall(r"(?:--to|>|\btee|certs) ([\w.]+)", block.text):
        assert (demo / name).exists(), name


def run_line(line: str, folder: Path) -> None:
    """Run a line: a plain command of orc in this process, everything else in a shell."""
    words = words_of(line)
    if words is not None:
        said = orc(*words[1:])
        assert said.code == 0, (line, said.err)
        return
    done = run_shell(line, folder)
    assert done.returncode == 0, (line, done.stdout)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_script_opens_the_pages_as_in_the_block(demo: Path, tmp_path: Path) -> None:
    [block] = [block for block in RUN if block not in PLAIN]
    serve, *requests = block.text.splitlines()
    script = f"""
        {serve} > said.json & server=$!
        trap 'kill $server; wait $server || true' EXIT
        until grep -q url said.json; do sleep 0.05; done
        URL=$(sed 's/.*"url": "\\([^"]*\\)".*/\\1/' said.json)
        {"; ".join(requests)}
    """
    done = run_shell(f"SOCKET={tmp_path}/s.sock\ncd {demo}\n{script}", demo)
    assert done.returncode == 0, done.stdout
    assert "tiny_notes_api" in done.stdout


@pytest.mark.parametrize("name", ["README.md", "docs/spec.md"])
def test_a_spec_that_names_a_script_beside_it_finds_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The specs with a script and no model run to their end, with the script beside them."""
    work_in(tmp_path, monkeypatch)
    monkeypatch.setenv("UPLOAD_TOKEN", "a-long-secret")
    found = 0
    for block in blocks_of(name, language="yaml"):
        scripts = re.findall(r'"\$ORC_SPEC_DIR"/([\w.]+\.sh)', block.text)
        if not scripts or re.search(r"prompt:|messages:|curl", block.text):
            continue
        found += 1
        (tmp_path / "spec.yaml").write_text(block.text)
        for script in scripts:
            (tmp_path / script).write_text("#!/bin/sh\necho ran\n")
            (tmp_path / script).chmod(0o755)
        said = orc("run", "spec.yaml", "--json")
        if said.code == 3:
            waiting = json.loads(said.out.splitlines()[-1])
            step = "release" if "release" in block.text else waiting["step"]
            assert orc("approve", "latest", step).code == 0
            said = orc("resume", "latest", "--json")
        assert said.code == 0, (block, said.err)
    assert found or name == "docs/spec.md"
