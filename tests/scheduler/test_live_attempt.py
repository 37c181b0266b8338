"""An attempt's copies of its inputs, for an executor on another machine."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orc.ledger import open_ledger
from orc.ledger.digest import Digest
from orc.ledger.secrets.masking import NO_MASK
from orc.projections import ReadModel
from orc.scheduler.executors.contract import WorkFile
from orc.scheduler.live_attempt import LiveAttempt

CONTENT = b"seed\n" * 1000
FILE = WorkFile("seed.txt", Digest(hashlib.sha256(CONTENT).hexdigest()), len(CONTENT))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "runs.db"
    with open_ledger(path, projector=ReadModel(), mask=NO_MASK) as ledger:
        ledger.append_blobs([CONTENT])
    return path


def an_attempt(database: Path) -> LiveAttempt:
    renderer: Any = SimpleNamespace(
        job_id="job_1",
        places=lambda _: {"work": str(database.parent / "work" / "seed.1")},
        log_path=lambda _: str(database.parent / "seed.1.log"),
        environment=SimpleNamespace(secrets=lambda _: {}),
    )
    placing: Any = SimpleNamespace(epoch=1)
    return LiveAttempt(renderer, placing, "seed", 1, database=database, mask=NO_MASK)


@pytest.mark.parametrize("left", [b"", CONTENT[:100]])
def test_what_a_killed_process_copied_in_part_is_copied_again(database: Path, left: bytes) -> None:
    killed = an_attempt(database).read_input(FILE)
    killed.write_bytes(left)
    assert an_attempt(database).read_input(FILE).read_bytes() == CONTENT


def test_an_input_is_copied_once(database: Path) -> None:
    attempt = an_attempt(database)
    first = attempt.read_input(FILE)
    inode = first.stat().st_ino
    assert attempt.read_input(FILE).stat().st_ino == inode
    attempt.close()
    assert not first.exists()


def test_an_input_that_another_process_removed_is_copied_again(database: Path) -> None:
    attempt = an_attempt(database)
    attempt.read_input(FILE)
    # An earlier owner of the job that was frozen ends late.
    an_attempt(database).close()
    assert attempt.read_input(FILE).read_bytes() == CONTENT
