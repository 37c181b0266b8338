"""Large files and modes in the run folder, in `output_dir`, in the manifest and in `orc verify`."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from orc.ledger import LedgerReader
from orc.ledger.errors import CorruptLedger
from orc.projections import Publisher, Verifier, verify_job
from orc.projections.folder.publish import deliver
from orc.projections.verify import Verdict
from tests.builders import JOB
from tests.large_files import (
    LARGE,
    LARGE_DIGEST,
    LARGE_TEXT,
    TEXT_DIGEST,
    large_story,
    stored_path,
    write_large,
)
from tests.projections.support import open_in


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with open_in(tmp_path) as ledger:
        write_large(ledger, large_story())
        Publisher(ledger, JOB, tmp_path / "out").publish()
    return tmp_path / "runs.db"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def verify(database: Path, *, folder: bool = True) -> Verdict:
    with LedgerReader.open(database) as ledger:
        return verify_job(ledger, JOB, folder=database.parent / "out" if folder else None)


def change(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)


def test_large_files_are_published_with_their_modes(database: Path) -> None:
    out = database.parent / "out"
    assert (out / "outputs/demo/tool.bin").read_bytes() == LARGE
    assert (out / "outputs/demo/big.txt").read_bytes() == LARGE_TEXT
    assert (out / "artifacts/a/left.bin").read_bytes() == LARGE
    paths = ("outputs/demo/tool.bin", "artifacts/a/left.bin", "outputs/demo/small.txt")
    assert [mode_of(out / path) for path in paths] == [0o755, 0o640, 0o600]
    assert verify(database).problems == ()


def test_the_manifest_has_the_mode_of_files_that_are_not_ordinary(database: Path) -> None:
    manifest = json.loads((database.parent / "out/manifest.json").read_bytes())
    modes = {file["path"]: file.get("mode", "absent") for file in manifest["files"]}
    assert modes == {
        "demo/tool.bin": "755",
        "demo/big.txt": "absent",
        "demo/small.txt": "absent",
    }


def test_a_changed_mode_is_found_and_set_again(database: Path) -> None:
    path = database.parent / "out/outputs/demo/tool.bin"
    path.chmod(0o600)
    assert verify(database).problems == (
        "outputs/demo/tool.bin has the mode 600 in the run folder; 755 was recorded",
    )
    before = path.stat().st_ino
    with LedgerReader.open(database) as ledger:
        Publisher(ledger, JOB, database.parent / "out").publish()
    assert (mode_of(path), path.stat().st_ino) == (0o755, before)
    assert verify(database).problems == ()


def test_a_changed_copy_of_a_large_file_is_found_and_written_again(database: Path) -> None:
    path = database.parent / "out/outputs/demo/tool.bin"
    change(path, LARGE[:-1] + b"!")
    assert verify(database).problems == ("outputs/demo/tool.bin was changed in the run folder",)
    with LedgerReader.open(database) as ledger:
        Publisher(ledger, JOB, database.parent / "out").publish()
    assert path.read_bytes() == LARGE
    assert verify(database).problems == ()


@pytest.mark.parametrize("content", [LARGE + b"!", LARGE[:-1] + b"!", b""])
def test_a_changed_file_of_the_store_is_damage_and_is_not_published(
    database: Path, content: bytes
) -> None:
    stored = stored_path(database)
    change(stored, content)
    (problem,) = verify(database).problems
    assert f"names the large file {LARGE_DIGEST[:12]}...: {stored} was changed" in problem
    published = database.parent / "out/outputs/demo/tool.bin"
    published.unlink()
    with LedgerReader.open(database) as ledger:
        with pytest.raises(
            CorruptLedger, match=r"digest does not match|is larger than was recorded"
        ):
            Publisher(ledger, JOB, database.parent / "out").publish()
        with pytest.raises(CorruptLedger):
            deliver(ledger, JOB, database.parent / "delivered", force=False)
    assert not published.exists()
    left = [path.name for path in database.parent.rglob("*.orc-tmp")]
    assert left == []


def test_a_missing_file_of_the_store_is_damage(database: Path) -> None:
    stored_path(database, TEXT_DIGEST).unlink()
    (problem,) = verify(database).problems
    assert f"large file {TEXT_DIGEST[:12]}...: " in problem
    assert problem.endswith(f"{TEXT_DIGEST} is missing; restore it from a backup")


def test_a_ledger_that_was_copied_without_its_store_says_what_to_copy(
    database: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "runs.db").write_bytes(database.read_bytes())
    problems = verify(there / "runs.db", folder=False).problems
    assert len(problems) == 2
    for problem in problems:
        assert f"there is no folder {there / 'runs.db.files'}" in problem
        assert "copy it together with the ledger" in problem


def test_a_large_file_that_no_event_names_is_checked_too(database: Path) -> None:
    with open_in(database.parent) as ledger:
        stored = ledger.files.add([b"another " * 2000])
        ledger.append([], stored=[stored])
    stored_path(database, stored.sha256).unlink()
    with LedgerReader.open(database) as reader, Verifier(reader) as verifier:
        assert verifier.check_job(JOB).problems == ()
        (problem,) = verifier.check_file()
        assert problem.startswith(f"the large file {stored.sha256[:12]}...: ")


def test_large_files_are_delivered_with_their_modes(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "delivered"
    with LedgerReader.open(database) as ledger:
        assert deliver(ledger, JOB, target, force=False) == []
        assert (target / "tool.bin").read_bytes() == LARGE
        assert mode_of(target / "tool.bin") == 0o755
        (target / "tool.bin").chmod(0o644)
        written: list[str] = []
        assert deliver(ledger, JOB, target, force=False, on_written=written.append) == []
        assert (mode_of(target / "tool.bin"), written) == (0o755, [])
        change(target / "tool.bin", LARGE + b" of the author")
        assert deliver(ledger, JOB, target, force=False) == ["tool.bin"]
        assert deliver(ledger, JOB, target, force=True) == []
    assert (target / "tool.bin").read_bytes() == LARGE
