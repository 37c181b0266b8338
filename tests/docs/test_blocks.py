"""Every block has a test; the shell blocks that stand alone run here, in a folder with the demo.

A block that cannot run has a comment with the reason above it, which `NOT_RUN` lists.
"""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from orc.scheduler.core.spec.parse import parse_spec
from orc.scheduler.executors.site import parse_sites
from tests.cli.command_line import orc, work_in
from tests.docs.conftest import (
    PAGES,
    Block,
    blocks_of,
    every_block,
    read_page,
    reason_above,
    run_shell,
    words_of,
)
from tests.docs.test_spec_page import SPEC_PAGES
from tests.docs.test_tutorials import WALKED

SHELL = [block for language in ("sh", "bash") for block in blocks_of(*PAGES, language=language)]
_PAGE_MARK = (
    "<!-- no block of this page is executed by tests: the commands run the tests themselves -->"
)

NOT_RUN = {
    "docs/exports.md": [
        "it needs DuckDB; tests/cli/commands/test_export_table.py asks the same",
    ],
    "README.md": ["it needs a package registry"],
    "docs/cluster.md": [
        "it needs a package registry",
        "the two programs run until Ctrl-C; `tests/executors` starts them with other addresses",
        "it needs Slurm",
        "it needs other machines",
        "it needs Slurm",
    ],
    "docs/how-to/batches.md": [
        "a batch takes as long as its server likes; tests/batches runs such jobs against a server "
        "on this machine"
    ]
    * 2,
    "docs/how-to/container.md": [
        "it needs docker; tests/heavy/test_container.py starts the entry point as process 1"
    ]
    * 3,
    "docs/pages.md": ["it needs another machine"],
    "docs/scores.md": ["the tutorial on evaluation runs these commands on a job with scores"],
    "docs/start/install.md": ["it needs a package registry"],
    "docs/tasks.md": ["`make torture` does, since it takes minutes"],
    "docs/mcp.md": ["it needs a package registry", "each needs its client"],
    "docs/telemetry.md": ["it needs a collector; tests/cli/telemetry starts one"],
}
"""Why blocks are not executed, in the order of the blocks."""

READ_BY = {
    "yaml": {*SPEC_PAGES, "docs/cluster.md", "docs/costs.md", "docs/python.md", "docs/security.md"},
    "sql": {"docs/tables.md"},
    "python": {"docs/python.md"},
    "text": {"docs/python.md"},
    "mermaid": {"docs/start/demo.md"},
    "ini": {"docs/queue.md", "docs/tutorials/nightly.md"},
    "cron": {"docs/queue.md", "docs/tutorials/nightly.md"},
}
"""The pages whose blocks of a language another test reads: the page's own test, or one below."""

SHOWN = {
    "docs/architecture.md": "a diagram; test_pages.py looks for its modules",
    "docs/pages.md": "an address",
    "docs/run-folder.md": "a folder; test_readme.py looks for its names",
}
"""Blocks of text that no command printed, and why."""

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
    return _PAGE_MARK if _PAGE_MARK in read_page(block.page) else reason_above(block)


RUN = [block for block in SHELL if reason_of(block) is None and block.page not in WALKED]
PLAIN = [block for block in RUN if "--uds" not in block.text]


def test_every_block_of_every_page_has_a_test() -> None:
    """A block is run, or read by a test, or has a reason in the page or in `SHOWN`."""
    without = [
        f"{block} {block.language}"
        for page in PAGES
        if page not in WALKED
        for block in every_block(page)
        if block.language not in ("sh", "bash")
        and page not in READ_BY.get(block.language, set())
        and not (block.language == "text" and page in SHOWN)
        and reason_of(block) is None
    ]
    assert without == []


def test_the_blocks_that_are_not_executed_are_those_with_a_reason() -> None:
    found: dict[str, list[str]] = {}
    for block in SHELL:
        reason = reason_of(block)
        if reason is not None and reason != _PAGE_MARK:
            found.setdefault(block.page, []).append(reason)
    assert found == NOT_RUN
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


def test_the_files_for_a_cluster_and_a_proxy_are_what_their_readers_accept(tmp_path: Path) -> None:
    sites: list[str] = []
    part: list[str] = []
    deployment: list[str] = []
    for block in blocks_of("docs/cluster.md", language="yaml"):
        kind = {"executors": sites, "apiVersion": deployment}.get(
            next(iter(yaml.safe_load(block.text))), part
        )
        kind.append(block.text)
    for text in sites:
        assert parse_sites(text, path=tmp_path / "executors.yaml").executors["cluster"]
    [text] = part
    assert parse_spec(f"project: p\n{text}").steps["train"].labels
    [text] = deployment
    [container] = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"]
    assert orc(*container["command"][1:4], "--help").code == 0
    [block] = blocks_of("docs/security.md", language="yaml")
    assert list(yaml.safe_load(block.text)["plugins"]["orc"]) == ["allowed_hosts"]


def test_the_units_of_systemd_and_the_lines_of_cron_call_commands_that_exist() -> None:
    units = blocks_of(*READ_BY["ini"], language="ini")
    commands = []
    for block in units:
        unit = configparser.ConfigParser(strict=True, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read_string(block.text)
        commands += [unit.get("Service", "ExecStart", fallback="")]
    for block in blocks_of(*READ_BY["cron"], language="cron"):
        for line in block.text.splitlines():
            assert re.match(r"(\S+ +){4}\S+ |[A-Z]+=", line), line
            commands += re.split(" && ", line)
    ours = [match[1] for command in commands if (match := re.search(r"\borc (.+)", command))]
    assert len(ours) == 3
    for words in ours:
        said = orc(*shlex.split(words), "--help")
        assert said.code == 0, words
        options = set(re.findall(r" (--[a-z-]+)", f" {words}"))
        assert options <= set(re.findall(r"--[a-z-]+", said.out)), words
