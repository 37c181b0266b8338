"""A ledger with damaged bytes is never verified as intact with other events (promises P11, P12).

One random bit of each byte is flipped, in a checkpointed file and in a file with its WAL; and files
are cut at every length. A sample always runs, and everything runs with the marker `torture`.
`ORC_FLIP_SEED` selects other bits and bytes.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orc.ledger import LedgerError, LedgerReader, Payload, connect_reader
from orc.ledger.connection import storage_errors
from orc.ledger.integrity import list_jobs
from orc.projections import Verifier
from orc.scheduler.core.commands import Settle
from tests.builders import JOB, step
from tests.projections.support import OTHER, begun, open_in, write

SEED = int(os.environ.get("ORC_FLIP_SEED", "20260301"))


@dataclass(frozen=True)
class Kept:
    """A ledger's files by name, the heads of its jobs, and its content as a reader gets it."""

    files: dict[str, bytes]
    heads: dict[str, str]
    content: Any


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Kept, Kept]:
    """A small ledger, without and with a WAL that was not checkpointed."""
    folder = tmp_path_factory.mktemp("small")
    first = begun(step("a", prompt="?"), step("b", needs="a"))
    first.start("a").call("a", number=1, ends="replied", text="long " * 250)
    first.succeed("a", "x" * 1100, files={"demo/a.md": b"chapter one\n"}, log=Payload(value="s"))
    first.start("b").succeed("b").tell(Settle())
    with open_in(folder) as ledger:
        write(ledger, first, begun(step("c"), job_id=OTHER))
    # Small pages: fewer bytes are unused, where a change has no effect.
    with closing(sqlite3.connect(folder / "runs.db", isolation_level=None)) as connection:
        for statement in ("journal_mode = DELETE", "page_size = 512"):
            connection.execute(f"PRAGMA {statement}")
        connection.execute("VACUUM")
    with open_in(folder):
        pass
    plain = _keep(folder)
    with open_in(folder) as ledger:
        ledger.connection.execute("PRAGMA wal_autocheckpoint = 0")
        write(ledger, begun(step("d"), job_id=THIRD))
        logged = _keep(folder)
    assert set(plain.files) == {"runs.db"}
    assert set(logged.files) == {"runs.db", "runs.db-wal"}
    assert logged.files["runs.db"] == plain.files["runs.db"]
    return plain, logged


THIRD = type(JOB)("job_000000000003")


def _keep(folder: Path) -> Kept:
    files = {
        name: (folder / name).read_bytes()
        for name in ("runs.db", "runs.db-wal")
        if (folder / name).exists()
    }
    with LedgerReader.open(folder / "runs.db") as ledger:
        jobs = [job_id for job_id, _ in list_jobs(ledger.connection)]
        heads = {job_id: ledger.head(job_id).hash for job_id in jobs}
        return Kept({name: data for name, data in files.items() if data}, heads, _content(ledger))


def _content(ledger: LedgerReader) -> Any:
    """All events and blobs, read in each way that a reader has."""
    by_job = {
        job_id: list(ledger.read_stream(job_id)) for job_id, _ in list_jobs(ledger.connection)
    }
    blobs = ledger.connection.execute("SELECT sha256 FROM blobs ORDER BY sha256").fetchall()
    return by_job, list(ledger.read_all()), {name: ledger.read_blob(name) for (name,) in blobs}


def _verify_files(folder: Path, kept: Kept, *, heads: bool, tables: bool = False) -> str:
    """Verify the files in a folder: reported, unreadable, same, or WRONG, which is a bug."""
    try:
        with LedgerReader.open(folder / "runs.db") as ledger:
            verifier = Verifier(ledger, tables=tables)
            with storage_errors(folder):
                found = list(list_jobs(ledger.connection))
            problems = [problem for _, problem in found if problem]
            for job_id, _ in found:
                known = [kept.heads[job_id]] if heads and job_id in kept.heads else []
                problems += verifier.check_job(job_id, heads=known).problems
            problems += verifier.check_file()
            if heads:
                problems += set(kept.heads) - {job_id for job_id, _ in found}
            if problems:
                return "reported"
            return "same" if _content(ledger) == kept.content else "WRONG"
    except LedgerError:
        return "unreadable"


def _flips(kept: Kept, seed: int) -> Iterator[tuple[str, int, int]]:
    """For each byte of each file: the file, the offset, and the bit to flip."""
    chance = random.Random(seed)
    for name, data in sorted(kept.files.items()):
        for place in range(len(data)):
            yield name, place, 1 << chance.randrange(8)


def _try(
    kept: Kept, changes: Iterable[tuple[str, int, int]], folder: Path, *, heads: bool
) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, place, bit in changes:
        changed = bytearray(kept.files[name])
        changed[place] ^= bit
        outcome = _with_files(kept, {name: bytes(changed)}, folder, heads=heads)
        assert outcome != "WRONG", f"byte {place} of {name}, bit {bit:#04x}, seed {SEED}"
        found[outcome] += 1
    return found


def _with_files(kept: Kept, changed: dict[str, bytes], folder: Path, *, heads: bool) -> str:
    for name in ("runs.db-shm", "runs.db-wal"):
        (folder / name).unlink(missing_ok=True)
    for name, data in (kept.files | changed).items():
        (folder / name).write_bytes(data)
    return _verify_files(folder, kept, heads=heads)


def _sample(changes: Iterable[Any], count: int) -> list[Any]:
    every = list(changes)
    return random.Random(SEED).sample(every, min(count, len(every)))


def test_a_flipped_bit_is_reported_or_changes_no_event(
    kept: tuple[Kept, Kept], tmp_path: Path
) -> None:
    found = _try(kept[0], _sample(_flips(kept[0], SEED), 600), tmp_path, heads=False)
    assert found["reported"] > 100
    assert found["unreadable"] > 0


def test_a_flipped_bit_in_a_ledger_with_its_log_shows_against_the_known_heads(
    kept: tuple[Kept, Kept], tmp_path: Path
) -> None:
    log = [flip for flip in _flips(kept[1], SEED) if flip[0].endswith("-wal")]
    found = _try(kept[1], _sample(log, 250), tmp_path, heads=True)
    assert found["reported"] > 100


def test_a_file_cut_short_is_reported_at_any_length(
    kept: tuple[Kept, Kept], tmp_path: Path
) -> None:
    _cut(kept, tmp_path, count=75)


def test_every_byte_of_every_row_of_events_counts(kept: tuple[Kept, Kept], tmp_path: Path) -> None:
    data = kept[0].files["runs.db"]
    # The hashes are in the table only, and not in an index: the chain must show each flip.
    for head in kept[0].heads.values():
        place = data.index(head.encode())
        for bit in (1, 2, 4):
            found = _try(kept[0], [("runs.db", place + bit, bit)], tmp_path, heads=False)
            assert found == {"reported": 1}


def _cut(kept: tuple[Kept, Kept], folder: Path, *, count: int) -> None:
    for ledger, name in ((kept[0], "runs.db"), (kept[1], "runs.db-wal")):
        data = ledger.files[name]
        for length in _sample(range(len(data)), count):
            cut = {name: data[:length]}
            outcome = _with_files(ledger, cut, folder, heads=True)
            assert outcome in ("reported", "unreadable", "same"), f"{name} cut to {length}"
            if outcome == "same":
                # The bytes of a WAL after its last commit are not needed.
                assert name == "runs.db-wal"


@pytest.mark.torture
def test_one_bit_of_every_byte_of_a_ledger(kept: tuple[Kept, Kept], tmp_path: Path) -> None:
    found = _try(kept[0], _flips(kept[0], SEED), tmp_path, heads=False)
    assert sum(found.values()) == len(kept[0].files["runs.db"])


@pytest.mark.torture
def test_one_bit_of_every_byte_of_a_ledger_with_its_log(
    kept: tuple[Kept, Kept], tmp_path: Path
) -> None:
    found = _try(kept[1], _flips(kept[1], SEED), tmp_path, heads=True)
    assert sum(found.values()) == sum(map(len, kept[1].files.values()))


@pytest.mark.torture
def test_a_file_cut_short_at_every_length(kept: tuple[Kept, Kept], tmp_path: Path) -> None:
    _cut(kept, tmp_path, count=10**9)


def test_the_verification_in_these_tests_notices_other_events(
    kept: tuple[Kept, Kept], tmp_path: Path
) -> None:
    (tmp_path / "runs.db").write_bytes(kept[0].files["runs.db"])
    other = Kept({}, kept[0].heads, kept[1].content)
    assert _verify_files(tmp_path, other, heads=False) == "WRONG"
    connect_reader(tmp_path / "runs.db").close()
