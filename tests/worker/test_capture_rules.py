"""The rules for captured files are those of the scheduler."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.scheduler.core import paths
from orc.worker.capture_rules import folder_matcher, matcher, path_problem
from orc.worker.confined import list_folders
from orc.worker.file_modes import kept_mode

PARTS = st.sampled_from(["a", "b.txt", "*", "?", "**", "a*", "*.txt", "x**"])
NAMES = st.sampled_from(["a", "b.txt", "ab", "x", "c.txt"])
GLOBS = st.lists(st.lists(PARTS, min_size=1, max_size=4).map("/".join), min_size=1, max_size=3)


@given(GLOBS, st.lists(NAMES, min_size=1, max_size=5))
def test_every_folder_of_a_file_that_matches_is_entered(globs: list[str], parts: list[str]) -> None:
    if not matcher(globs)("/".join(parts)):
        return
    enters = folder_matcher(globs)
    assert all(enters("/".join(parts[:end])) for end in range(1, len(parts)))


def test_a_folder_that_cannot_match_is_not_entered() -> None:
    enters = folder_matcher(["out/*.txt", "*/deep/x", "top.txt"])
    assert enters("out")
    assert enters("any")
    assert enters("any/deep")
    assert not enters("any/other")
    assert not enters("out/more")
    assert folder_matcher(["a/**"])("a/b/c/d")
    assert not folder_matcher(["*.txt"])("a")


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("*.txt", "a.txt", True),
        ("*.txt", "d/a.txt", False),
        ("**/a.txt", "a.txt", True),
        ("**/a.txt", "x/y/a.txt", True),
        ("d/**", "d/x/y", True),
        ("d/**", "d", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a.c", "abc", False),
    ],
)
def test_what_a_glob_matches(glob: str, path: str, fits: bool) -> None:
    assert matcher([glob])(path) is fits


@given(st.one_of(st.text(), st.text("aA.~/ \\:*?\u0301\u200bgitcon0"), st.booleans().map(str)))
def test_paths_are_judged_as_the_scheduler_judges_them(path: str) -> None:
    for is_glob in (False, True):
        assert path_problem(path, glob=is_glob) == paths.path_problem(path, glob=is_glob)


@pytest.mark.parametrize(
    "path",
    [
        "a/" * 600 + "a",
        "a" * 201,
        "../a",
        "a/..",
        ".git/config",
        "GIT~1",
        "nul",
        "a.orc-tmp",
        "a\0b",
    ],
)
def test_paths_that_are_not_allowed(path: str) -> None:
    assert path_problem(path)
    assert path_problem(path) == paths.path_problem(path)


def test_the_mode_of_an_ordinary_file_is_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    assert kept_mode(path.stat().st_mode) is None
    for bits in (0o400, 0o700, 0o755):
        path.chmod(bits)
        assert kept_mode(path.stat().st_mode) == f"{bits:03o}"


def test_a_walk_over_folders_reads_each_of_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "file").touch()
    (tmp_path / "link").symlink_to("a")
    real, read = os.listdir, []

    def listdir(folder: int) -> list[str]:
        read.append(os.fstat(folder).st_ino)
        return real(folder)

    monkeypatch.setattr(os, "listdir", listdir)
    assert dict(list_folders(tmp_path)) == {"a": False, "a/b": False, "a/b/c": True}
    assert len(read) == len(set(read)) == 4
    read.clear()
    assert dict(list_folders(tmp_path, enters=lambda path: False)) == {"a": False}
    assert len(read) == 2
