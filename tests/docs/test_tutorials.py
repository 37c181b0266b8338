"""Pages that a reader follows run from their first block to the last, and print what they show."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from orc.cli.jobs.caller.templates import ABOUT, read_template
from tests.docs.conftest import ROOT, blocks_of
from tests.docs.walk import walk

TUTORIALS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs/tutorials").glob("*.md"))
WALKED = [
    "README.md",
    "docs/index.md",
    *TUTORIALS,
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs/start").glob("*.md")),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs/how-to").glob("*.md")),
]
"""Pages with steps that follow each other; `test_blocks.py` has those whose blocks stand alone.

`test_readme.py` runs the first one.
"""


@pytest.mark.parametrize("page", WALKED[1:])
def test_a_page_runs_from_top_to_bottom(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk(page, tmp_path, monkeypatch)


def test_each_part_of_a_spec_in_a_tutorial_is_of_its_starter_spec() -> None:
    texts = {name: read_template(name) for name in ABOUT}
    parts = [
        block
        for block in blocks_of(*TUTORIALS, language="yaml")
        # Another one is a file, and its first line is the file's name.
        if not block.text.startswith("# ")
    ]
    assert parts
    for block in parts:
        lines = [line for line in block.text.splitlines() if line]
        assert any(is_in(lines, text.splitlines()) for text in texts.values()), block
        assert yaml.safe_load(block.text)


def is_in(lines: list[str], whole: list[str]) -> bool:
    """Whether the lines are in the text, in this order."""
    rest = iter(whole)
    return all(line in rest for line in lines)
