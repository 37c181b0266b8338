"""Which paths conflict."""

from __future__ import annotations

import pytest

from orc.scheduler.core.file_names import FileNames


@pytest.mark.parametrize(
    ("there", "path", "clash"),
    [
        ("a.md", "a.md", None),
        ("a.md", "b.md", None),
        ("d/a.md", "d/b.md", None),
        ("a.md", "A.md", "a.md"),
        ("main.py", "main.py/evil.txt", "main.py"),
        ("Main.py", "main.py/x/evil.txt", "Main.py"),
        ("d/a.md", "d", "d/a.md"),
        ("d/e/a.md", "D/E", "d/e/a.md"),
        ("d", "dd", None),
        ("stra\u00dfe", "STRASSE", "stra\u00dfe"),
        ("e\u0301", "\u00e9", "e\u0301"),
        ("\u01f0", "J\u030c", "\u01f0"),
        ("\u1fb4", "\u0386\u0345", "\u1fb4"),
        ("e\u0301/a", "\u00c9", "e\u0301/a"),
    ],
)
def test_a_path_conflicts_with_equal_names_and_parent_folders(
    there: str, path: str, clash: str | None
) -> None:
    names = FileNames()
    names.add(there)
    assert names.clash(path) == clash
