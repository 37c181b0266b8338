"""A full disk: a clear error, an intact ledger, and appends that work again afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ledger.support import JOB, rows
from tests.ledger.test_chain import recomputed_chain, stored_chain
from tests.processes import WAIT_S, end_process, start_python

pytest.importorskip("resource", reason="limits file sizes with setrlimit")

# A limit on the file size simulates the full disk: in both cases a write fails.
_FILLER = """
import json, resource, sys
from pathlib import Path
from orc.ledger.errors import StorageError
from tests.ledger.support import JOB, open_at, skipped, submitted

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

found = []
for number, size in enumerate(json.loads(sys.argv[2])):
    path = Path(sys.argv[1]) / f"{number}.db"
    acknowledged, message, version = 0, "", 1
    with open_at(path) as ledger:
        ledger.append([submitted()])
        acknowledged = 1
        limit(size)
        try:
            for version in range(2, 400):
                ledger.append([skipped(version)], blobs=[b"%d" % version * 500])
                acknowledged = version
        except StorageError as error:
            message = str(error)
        refused_again = False
        try:
            ledger.append([skipped(acknowledged + 1)], blobs=[b"x" * 1000000])
        except StorageError:
            refused_again = True
        limit(resource.RLIM_INFINITY)
        same = [r.version for r in ledger.read_stream(JOB)] == list(range(1, acknowledged + 1))
        ledger.append([skipped(acknowledged + 1)], blobs=[b"afterwards"])
    found.append([acknowledged, message, refused_again, same])
print(json.dumps(found))
"""


def test_a_full_disk_is_a_storage_error_and_appends_work_again_with_free_space(
    tmp_path: Path,
) -> None:
    sizes = [90_000 + 7_000 * number for number in range(12)]
    process = start_python(_FILLER, str(tmp_path), json.dumps(sizes))
    try:
        said, complaint = process.communicate(timeout=WAIT_S)
    finally:
        end_process(process)
    assert (process.returncode, complaint) == (0, "")
    outcomes = json.loads(said)
    for number, (acknowledged, message, refused_again, same) in enumerate(outcomes):
        path = tmp_path / f"{number}.db"
        assert message.startswith(f"{path}: ")
        assert refused_again
        assert same
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        assert len(stored_chain(path, JOB)) == acknowledged + 1
        assert stored_chain(path, JOB) == recomputed_chain(path, JOB)
        assert rows(path, "SELECT events FROM tally") == [(acknowledged + 1,)]
    assert len({acknowledged for acknowledged, *_ in outcomes}) > 3
