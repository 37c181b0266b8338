"""The entry point of the container image as process 1, in a namespace of its own."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.processes import ORC, ROOT, end_process, has_event, orc_environment, run_orc, wait_until

pytestmark = pytest.mark.providers

SPEC = """\
project: contained
steps:
  orphans:
    run: |
      for i in 1 2 3; do (setsid sleep 0.1 > /dev/null 2>&1 &) ; done
      sleep 1
      ps -e -o stat,comm
  slow: {needs: orphans, run: 'test -e "$ORC_SPEC_DIR"/ready || sleep 60'}
"""
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def may_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not may_unshare(), reason="no process may have a namespace of its own here")
@pytest.mark.parametrize("has_init", [True, False])
def test_sigterm_to_process_1_interrupts_the_job_and_it_can_be_resumed(
    has_init: bool, tmp_path: Path
) -> None:
    assert '\nENTRYPOINT ["tini", "--", "orc"]\n' in (ROOT / "Dockerfile").read_text("utf-8")
    init = shutil.which("tini")
    if has_init and init is None:
        pytest.skip("tini is not installed")
    (tmp_path / "spec.yaml").write_text(SPEC)
    command = [*([str(init), "--"] if has_init else []), str(ORC), "run", "spec.yaml"]
    outer = subprocess.Popen(
        [*UNSHARE, *command],
        cwd=tmp_path,
        env=orc_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: has_event(tmp_path / "runs.db", "step.started", step="slow"))
        [first] = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        subprocess.run(["kill", f"-{signal.SIGTERM.value}", first], check=True)
        assert outer.wait(30) == 143
    finally:
        end_process(outer)
    shown = run_orc("logs", "latest", "orphans", cwd=tmp_path).stdout
    zombies = re.findall(r"^ *Z", shown, re.MULTILINE)
    # Without an init, what commands left behind would stay as zombies.
    assert bool(zombies) is not has_init, shown
    (tmp_path / "ready").touch()
    resumed = run_orc("resume", "latest", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
