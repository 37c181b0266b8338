"""Every block of the tutorials runs, in the order of the page, and prints what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from orc.cli.jobs.caller.templates import ABOUT, read_template
from tests.cli.command_line import orc, work_in
from tests.docs.conftest import ROOT, blocks_of, read_page, run_shell, words_of

PAGES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs/tutorials").glob("*.md"))
_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_EXIT = re.compile(r"  # exit code (\d)$")


@pytest.mark.parametrize("page", PAGES)
def test_a_tutorial_runs_and_prints_what_it_shows(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = work_in(tmp_path, monkeypatch)
    printed = ""
    for language, text in _BLOCK.findall(read_page(page)):
        if language == "text":
            check_shown(text, printed)
            continue
        printed = ""
        for line in text.splitlines():
            if line.startswith("cd "):
                folder = folder / line.removeprefix("cd ")
                monkeypatch.chdir(folder)
                continue
            found = _EXIT.search(line)
            code, said = run(_EXIT.sub("", line), folder)
            assert code == (int(found[1]) if found else 0), (line, said)
            printed += said


def run(line: str, folder: Path) -> tuple[int, str]:
    """Run a line, a plain command of orc in this process; its exit code, and what it printed."""
    words = words_of(line)
    if words is None:
        done = run_shell(line, folder)
        return done.returncode, done.stdout
    said = orc(*words[1:])
    return said.code, said.err + said.out


def check_shown(shown: str, printed: str) -> None:
    """Check that the lines were printed in this order; `...` is any text."""
    lines = iter(" ".join(line.split()) for line in printed.splitlines())
    for line in shown.splitlines():
        pattern = re.escape(" ".join(line.split())).replace(re.escape("..."), ".*")
        pattern = pattern.removeprefix(".*\\ ")
        assert any(re.search(pattern, one) for one in lines), f"{line}\n\nin:\n{printed}"


def test_each_part_of_a_spec_in_a_tutorial_is_of_its_starter_spec() -> None:
    texts = {name: read_template(name) for name in ABOUT}
    for block in blocks_of(*PAGES, language="yaml"):
        lines = [line for line in block.text.splitlines() if line]
        assert any(is_in(lines, text.splitlines()) for text in texts.values()), block
        assert yaml.safe_load(block.text)


def is_in(lines: list[str], whole: list[str]) -> bool:
    """Whether the lines are in the text, in this order."""
    rest = iter(whole)
    return all(line in rest for line in lines)
