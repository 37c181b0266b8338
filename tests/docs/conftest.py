"""Shared by the tests of the documentation: its pages, and the code blocks in them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.forkserver import ShellOrc

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in map(ROOT.joinpath, ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))
) + sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
WAIT_S = 60.0

_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)

Orc = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def read_page(page: str) -> str:
    """The page's text."""
    return (ROOT / page).read_text("utf-8")


def blocks_of(*pages: str, language: str) -> list[Block]:
    """The blocks of this language, in order."""
    return [
        Block(page, text[: match.start()].count("\n") + 1, language, match["text"])
        for page in pages
        for text in [read_page(page)]
        for match in _BLOCK.finditer(text)
        if match["language"] == language
    ]


_MARK = re.compile(r"<!-- not executed by tests: (?P<reason>.+) -->\n\Z")


def every_block(page: str) -> list[Block]:
    """All blocks of a page, in order."""
    text = read_page(page)
    return [
        Block(page, text[: match.start()].count("\n") + 1, match["language"], match["text"])
        for match in _BLOCK.finditer(text)
    ]


def is_marked(block: Block) -> bool:
    """Whether the block has a reason above it why no test executes it."""
    return reason_above(block) is not None


def reason_above(block: Block) -> str | None:
    """Why no test executes the block, by the comment above it."""
    lines = read_page(block.page).splitlines(keepends=True)
    found = _MARK.search("".join(lines[: block.line - 1]))
    return None if found is None else found["reason"]


def plain_environment() -> dict[str, str]:
    """An environment without settings, with this installation's `orc` first in PATH."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
    }


def run_shell(
    script: str, folder: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a shell script, without settings unless they are given; stderr is part of stdout."""
    plain = plain_environment()
    orc = shell_orc()
    return subprocess.run(
        ["/bin/sh", "-ec", script],
        cwd=folder,
        env={**(environment or {}), **plain, "PATH": f"{orc.folder}{os.pathsep}{plain['PATH']}"},
        pass_fds=orc.fds,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


@cache
def shell_orc() -> ShellOrc:
    """The `orc` of shells in this process."""
    return ShellOrc(Path(tempfile.mkdtemp(prefix="shell-orc-")))


def words_of(line: str) -> list[str] | None:
    """The words of a plain command of orc; None for a line that needs a shell."""
    plain = line.partition(" #")[0]
    if not plain.startswith("orc ") or re.search(r"[|&;<>$`*]", plain):
        return None
    return shlex.split(plain)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the repository's `examples/`."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path
