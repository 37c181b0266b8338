"""No way out of the ledger needs more memory for a large file than for a small one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import JOB

SIZE_BYTES = 300 * 1024 * 1024
PEAK_BYTES_MAX = 180 * 1024 * 1024
"""Python with all modules of the commands takes about 90 MiB, two parts of a bundle 32 MiB."""

_PROGRAM = """
import sys
from pathlib import Path
from orc.ledger.digest import digest_bytes
from tests.cli.command_line import orc
from tests.large_files import large_story
from tests.peak_memory import peak_bytes
from tests.projections.support import open_in

here, size = Path.cwd(), int(sys.argv[1])
chunk = bytes(1024 * 1024)
with open_in(here) as ledger:
    stored = ledger.files.add(chunk for _ in range(size // len(chunk)))
    told = large_story(here / "runs", large=(stored.sha256, stored.size_bytes))
    ledger.append_blobs(told.blobs)
    ledger.append(told.stream, stored=[stored])
for arguments in (
    ["export", sys.argv[2]],
    ["verify"],
    ["blame", "demo/tool.bin"],
    ["export", sys.argv[2], "--format", "html", "--to", "page.html"],
    ["export", sys.argv[2], "--format", "ro-crate", "--to", "crate.zip"],
    ["backup", "copy.db"],
    ["bundle", sys.argv[2], "job.orc"],
    ["import", "job.orc", "--db", "new.db"],
    ["verify", "--db", "job.orc"],
    ["redact", digest_bytes(told.blobs[-1]), "--json"],
    ["redact", stored.sha256, "--yes"],
):
    done = orc(*arguments)
    assert done.code == 0, (arguments, done.err)
    print(arguments[0], peak_bytes(), flush=True)
"""


@pytest.mark.torture
def test_the_memory_of_commands_does_not_grow_with_a_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(SIZE_BYTES), JOB],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    peaks = [line.split() for line in done.stdout.splitlines()]
    assert peaks[-1][0] == "redact"
    assert max(int(peak) for _, peak in peaks) < PEAK_BYTES_MAX, peaks
