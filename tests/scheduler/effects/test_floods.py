"""Commands with endless output: orc's memory is bounded, and the step fails with a clear message."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import pytest

from tests.processes import ORC, WAIT_S, orc_environment

MEMORY_BYTES = 700 * 1024 * 1024
SPEC = """\
project: flood
concurrency: 2
steps:
  out: {run: "head -c 104857600 /dev/zero | tr '\\\\0' x", continue_on_error: true}
  err: {run: "head -c 104857600 /dev/zero | tr '\\\\0' x >&2; echo fine"}
  both:
    needs: [out, err]
    run: |
      head -c 3000000 /dev/zero | tr '\\0' e >&2 & head -c 900000 /dev/zero | tr '\\0' o; wait
  deep: {run: "head -c 100000 /dev/zero | tr '\\\\0' [", output: {format: json}, continue_on_error: true}
"""


@pytest.mark.torture
def test_a_line_of_a_hundred_megabytes_is_streamed_and_cut(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    ended = subprocess.run(
        [ORC, "run", "spec.yaml"],
        cwd=tmp_path,
        env=orc_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES)),
    )

    assert ended.returncode == 0, ended.stderr
    assert "out failed (output_too_large" in ended.stderr
    assert "the log was cut at 64 MiB" in ended.stderr
    assert "deep failed (schema" in ended.stderr
    (log,) = tmp_path.glob("runs/*/logs/err.1.log")
    assert log.stat().st_size == 64 * 1024 * 1024
    (log,) = tmp_path.glob("runs/*/logs/both.1.log")
    assert log.stat().st_size == 3_900_000
