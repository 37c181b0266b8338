"""`orc doctor`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.ledger.files.temporary import hold
from tests.cli.command_line import orc, submit, write
from tests.cli.conftest import Kept


def test_doctor_names_what_it_found_and_ends_with_7_for_a_broken_ledger(kept: Kept) -> None:
    healthy = orc("doctor", "--json", "--db", kept.database).json()
    broken = orc("doctor", "--db", write("notes.txt", "no ledger"))

    found = {finding["name"]: finding["level"] for finding in healthy["findings"]}
    assert healthy["healthy"] is True
    assert {"python", "sqlite", "ledger", "ollama", "replay", "trio"} <= set(found)
    assert broken.code == 7
    assert "bad   ledger: " in broken.out


def test_doctor_names_what_killed_commands_left_and_what_removes_it(here: Path) -> None:
    text = (
        "project: p\noutput_dir: out\nsteps: {a: {value: 1, files: [{path: a.txt, content: x}]}}\n"
    )
    job = submit(text)
    left = {
        here / ".copy.db.7-7.orc-tmp": "give that command again",
        here / "half": "give that command again",
        here / "runs" / job / "outputs/.a.txt.7-7.orc-tmp": f"`orc export {job}` removes it",
        here / "out/.a.txt.7-7.orc-tmp": f"`orc resume {job}` copies them again",
    }
    (here / "half").mkdir()
    (here / "half/.orc-unfinished").touch()
    for path in left:
        if path.name != "half":
            path.touch()
    findings = orc("doctor", "--json").json()["findings"]
    found = {Path(each["path"]): each["remedy"] for each in findings if each["name"] == "leftover"}
    assert set(found) == set(left)
    assert all(words in found[path] for path, words in left.items())
    assert all(str(path) in orc("doctor").out for path in left)

    assert orc("export", job).code == orc("resume", job).code == 0
    assert orc("backup", "copy.db").code == orc("export", job, "--to", "half").code == 0
    assert not [path for path in here.rglob("*") if path.name.endswith((".orc-tmp", "unfinished"))]


def test_doctor_leaves_alone_what_a_living_process_writes(here: Path) -> None:
    submit("project: p\nsteps: {a: {value: 1}}\n")
    path = here / ".copy.db.7-7.orc-tmp"
    with path.open("w") as file:
        assert hold(file.fileno())
        assert "orc-tmp" not in orc("doctor").out
    assert "orc-tmp" in orc("doctor").out


@pytest.mark.parametrize(
    "kind", ["mine", "copied", "copied with notes", "imported", "open to others"]
)
def test_doctor_looks_only_into_output_folders_to_which_this_ledger_has_written(
    kind: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        f"project: p\noutput_dir: {here}/out\n"
        "steps: {a: {value: 1, files: [{path: a.txt, content: x}]}}\n"
    )
    job = submit(text)
    left = here / "out/.a.txt.7-7.orc-tmp"
    left.touch()
    place = here / "other"
    place.mkdir(mode=0o700)
    if kind.startswith("copied"):
        shutil.copy("runs.db", place)
        if kind == "copied with notes":
            shutil.copytree("runs.db.locks", place / "runs.db.locks")
    elif kind == "imported":
        assert orc("bundle", job, "job.orc").code == 0
        assert orc("import", here / "job.orc", "--trust", "--db", place / "runs.db").code == 0
    else:
        place = here
        if kind == "open to others":
            Path("runs.db").chmod(0o666)
    looked: list[Path] = []
    real_walk = os.walk

    def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        looked.append(Path(folder))
        return real_walk(folder)

    monkeypatch.setattr(os, "walk", walk)
    said = orc("doctor", "--db", place / "runs.db")
    is_looked_into = kind == "mine"
    assert (here / "out" in looked) is is_looked_into
    assert (str(left) in said.out) is is_looked_into
