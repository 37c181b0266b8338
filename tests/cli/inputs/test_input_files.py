"""Files of inputs: what is found, in which order, and what changes while it is read."""

from __future__ import annotations

import datetime as dt
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from orc.cli.jobs.caller import spool as spool_module
from orc.cli.jobs.caller.given_values import plain_inputs
from orc.cli.jobs.caller.input_files import FoundFile, NotThere, find_files, read_pieces
from orc.cli.jobs.caller.spool import PIECE_BYTES, Spool
from orc.ledger.digest import digest_bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("n/b.md", "n/a.md", "n/deep/c.md", "n/.git/d.md", "n/.e.md", "o/a.md", "n/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "n" / "l.md").symlink_to("a.md")
    (tmp_path / "n" / "round").symlink_to("..")
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "paths"),
    [
        (["n/*.md"], ["a.md", "b.md"]),
        (["n/**/*.md"], ["a.md", "b.md", "deep/c.md"]),
        (["n/**"], ["a.md", "b.md", "deep/c.md", "x.txt"]),
        (["n/"], ["a.md", "b.md", "deep/c.md", "x.txt"]),
        (["n/l.md"], ["l.md"]),
        (["n/.*.md"], [".e.md"]),
        (["*/a.md"], ["n/a.md", "o/a.md"]),
        (["n/?.md", "n/a.md"], ["a.md", "b.md"]),
        (["n/a.md", "o/a.md"], ["n/a.md", "o/a.md"]),
        (["o/../n/a.md"], ["a.md"]),
    ],
)
def test_what_matches_is_sorted_and_is_neither_hidden_nor_a_link(
    folder: Path, patterns: list[str], paths: list[str]
) -> None:
    found = find_files([(pattern, folder) for pattern in patterns], allow_empty=False)
    assert [file.path for file in found] == paths


def test_a_pattern_without_a_file_is_allowed_only_if_the_input_says_so(folder: Path) -> None:
    with pytest.raises(NotThere, match="allow_empty: true"):
        find_files([("n/*.pdf", folder)], allow_empty=False)
    assert find_files([("n/*.pdf", folder)], allow_empty=True) == []


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems have one form of a name")
def test_two_files_whose_names_are_one_text_are_refused(folder: Path) -> None:
    (folder / "n" / "u\u0308.md").write_text("1")
    assert [file.path for file in find_files([("n/*.md", folder)], allow_empty=False)][-1] == "ü.md"
    (folder / "n" / "ü.md").write_text("2")
    with pytest.raises(ValueError, match="two Unicode forms, and only one of them can be recorded"):
        find_files([("n/*.md", folder)], allow_empty=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_is_no_empty_folder(folder: Path) -> None:
    (folder / "n" / "deep").chmod(0)
    with pytest.raises(ValueError, match="Permission denied"):
        find_files([("n/**/*.md", folder)], allow_empty=True)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "grows.txt"
    path.write_bytes(b"x" * (PIECE_BYTES + 1))
    pieces = read_pieces(FoundFile(path, path.name, True), bytes_max=1 << 30)
    next(pieces)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match="was changed while it was read"):
        list(pieces)


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match="No such file"):
        list(read_pieces(FoundFile(tmp_path / "gone.md", "gone.md", False), bytes_max=10))


def test_contents_are_kept_whole_in_memory_and_on_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool_module, "MEMORY_BYTES_MAX", 100)
    spool = Spool()
    contents = [bytes([number]) * 30 for number in range(10)]
    digests = [spool.add([content[:10], content[10:]])[0] for content in contents]
    assert digests == [digest_bytes(content) for content in contents]
    assert [spool.read(digest) for digest in digests] == contents
    assert spool.add([contents[3]]) == (digests[3], 30)
    copied, _ = spool.add(spool.pieces(digests[4]))
    assert copied == digests[4]
    with spool.open(digests[5]) as file:
        file.seek(25)
        assert file.read() == contents[5][25:]


def test_paths_and_data_frames_of_programs_are_plain_values() -> None:
    class Polars:
        def to_dicts(self) -> list[dict[str, Any]]:
            return [{"a": 1, "b": float("nan")}]

    class Pandas:
        columns = ("a",)

        def to_dict(self, orient: str) -> list[dict[str, Any]]:
            assert orient == "records"
            return [{"a": dt.date(2026, 1, 2)}]

    given = {"p": Path("a"), "l": [Path("b"), "c"], "f": Polars(), "d": Pandas(), "n": 1}
    assert plain_inputs(given) == {
        "p": "a",
        "l": ["b", "c"],
        "f": [{"a": 1, "b": None}],
        "d": [{"a": "2026-01-02"}],
        "n": 1,
    }
