"""A file of a run folder that cannot be written keeps neither other files nor the job from its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orc.ledger import LedgerReader
from orc.projections.folder.run_folder import RunFolder
from tests.cli.command_line import Said, orc, write

SPEC = """
project: p
steps:
  first: {value: one, files: [{path: first.txt}]}
  gate: {needs: first, approval: {message: Go on?}}
  last: {needs: gate, value: two, files: [{path: last.txt}]}
"""


def waiting_job() -> Path:
    """The run folder of a job that waits for a person."""
    said = orc("run", write("spec.yaml", SPEC), "--json")
    return Path("runs").absolute() / str(said.lines()[-1]["job_id"])


def continued() -> Said:
    orc("approve", "latest", "gate")
    return orc("resume", "latest")


def test_a_folder_in_the_place_of_a_file_stops_no_job(here: Path) -> None:
    folder = waiting_job()
    (folder / "outputs/p/first.txt").unlink()
    (folder / "outputs/p/first.txt/in the way").mkdir(parents=True)
    said = continued()
    assert said.code == 74
    assert "outputs/p/first.txt: " in said.err
    assert "The job runs on" in said.err
    assert "The ledger has all of the job" in said.err
    assert orc("show", "latest", "--json").json()["status"] == "succeeded"
    assert (folder / "outputs/p/last.txt").read_text() == "two"
    assert "last" in (folder / "manifest.json").read_text()
    (folder / "outputs/p/first.txt/in the way").rmdir()
    (folder / "outputs/p/first.txt").rmdir()
    assert orc("resume", "latest").code == 0
    assert orc("verify").code == 0


@pytest.mark.parametrize("path", ["outputs/p/first.txt", "manifest.json"])
def test_an_unexpected_error_for_one_file_stops_no_job(
    path: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = waiting_job()
    with monkeypatch.context() as patch:
        break_file(path, patch)
        said = continued()
    assert said.code == 74
    assert f"{path}: unexpected error in orc: TypeError: boom" in said.err
    assert orc("show", "latest", "--json").json()["status"] == "succeeded"
    assert (folder / "outputs/p/last.txt").read_text() == "two"
    assert orc("resume", "latest").code == 0
    assert orc("verify").code == 0


def break_file(path: str, patch: pytest.MonkeyPatch) -> None:
    """Let a function that makes the file raise an error that nobody expects."""

    def broken(*told: Any) -> Any:
        raise TypeError("boom")

    if path == "manifest.json":
        patch.setattr(RunFolder, "_summary", broken)
        return
    make = RunFolder._make
    patch.setattr(
        RunFolder,
        "_make",
        lambda self, name, source: broken() if name == path else make(self, name, source),
    )


def test_a_resumed_job_reads_its_events_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = waiting_job()
    orc("approve", "latest", "gate")
    whole = []
    read = LedgerReader._read

    def noted(self: LedgerReader, query: str, arguments: tuple[Any, ...], **how: Any) -> Any:
        if "version > ?" in query and arguments[1] == 0:
            whole.append(query)
        return read(self, query, arguments, **how)

    with monkeypatch.context() as patch:
        patch.setattr(LedgerReader, "_read", noted)
        assert orc("resume", "latest").code == 0
    assert len(whole) == 1
    assert "last" in (folder / "manifest.json").read_text()
    assert orc("verify").code == 0
