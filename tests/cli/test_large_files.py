"""Large files and modes of files in what commands print and write."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest
from msgspec.structs import replace

from orc.ledger.exit_codes import VERIFICATION
from orc.projections.history import find_files
from tests.builders import JOB
from tests.cli.command_line import orc
from tests.large_files import LARGE, LARGE_DIGEST, large_story, stored_path, write_large
from tests.projections.support import OTHER, open_in


@pytest.fixture
def database(here: Path) -> Path:
    with open_in(here) as ledger:
        write_large(ledger, large_story(here / "runs"))
    return here / "runs.db"


def test_show_names_the_mode_of_files(database: Path) -> None:
    shown = orc("show", JOB, "--files")
    assert shown.out.splitlines()[0].split()[-1] == "MODE"
    (line,) = (line for line in shown.out.splitlines() if "tool.bin" in line)
    assert line.split()[-1] == "755"
    modes = {line["path"]: line["mode"] for line in orc("show", JOB, "-f", "--json").lines()}
    assert modes == {"demo/tool.bin": "755", "demo/big.txt": None, "demo/small.txt": None}
    assert "mode 755" in orc("blame", "demo/tool.bin").out


def test_blame_reads_a_large_copy_if_the_ledger_has_a_file_of_its_size(
    database: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_files, "COPY_BYTES_MAX", 3)
    (here / "copy").write_bytes(LARGE)
    assert "demo/tool.bin" in orc("blame", "./copy").out
    (here / "copy").write_bytes(LARGE + b"!")
    assert "does not compute its digest" in orc("blame", "./copy").err


def test_an_export_has_large_files_with_their_modes(database: Path, here: Path) -> None:
    assert orc("export", JOB, "--to", "copy").code == 0
    tool = here / "copy/outputs/demo/tool.bin"
    assert (tool.read_bytes(), stat.S_IMODE(tool.stat().st_mode)) == (LARGE, 0o755)
    assert orc("export", JOB, "--format", "ro-crate", "--to", "crate.zip").code == 0
    with zipfile.ZipFile(here / "crate.zip") as archive:
        assert archive.read("outputs/demo/tool.bin") == LARGE
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    assert (modes["outputs/demo/tool.bin"], modes["outputs/demo/small.txt"]) == (0o755, 0o600)
    assert orc("export", JOB, "--format", "html", "--to", "page.html").code == 0


def test_verify_and_rebuild_know_large_files(database: Path) -> None:
    assert orc("export", JOB).code == 0
    assert orc("verify").code == 0
    assert orc("rebuild").code == 0
    assert orc("verify").code == 0
    stored_path(database).unlink()
    done = orc("verify")
    assert done.code == VERIFICATION
    assert f"{LARGE_DIGEST} is missing; restore it from a backup" in done.out + done.err


def test_two_files_that_differ_in_their_modes_differ(database: Path, here: Path) -> None:
    other = large_story(here / "runs", job_id=OTHER)
    for number, recorded in enumerate(other.stream):
        if getattr(recorded.event, "path", "") == "demo/tool.bin":
            event = replace(recorded.event, mode="700")
            other.stream[number] = recorded.__class__(
                recorded.job_id, recorded.version, recorded.recorded_at, event
            )
    with open_in(here) as ledger:
        write_large(ledger, other)
    found = orc("diff", JOB, OTHER, "--json").json()["files"]
    assert [file["path"] for file in found if file["state"] == "changed"] == ["demo/tool.bin"]
