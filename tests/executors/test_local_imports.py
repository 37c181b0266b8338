"""A job without steps on other machines loads nothing of what these need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import orc_environment

PROGRAM = """
import json, sys
sys.argv = ["orc", *sys.argv[1:]]
from orc.cli.main import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
json.dump(sorted(sys.modules), open("modules.json", "w"))
"""
SPEC = """
project: local
steps:
  first: {run: echo 1}
  second: {python: 'functions:double', args: {number: 1}, needs: first}
"""
ABSENT = (
    "dask",
    "distributed",
    "orc.scheduler.drivers",
    "orc.scheduler.executors.driver",
    "orc.scheduler.executors.driver_process",
    "orc.scheduler.executors.wire",
)
SITE = "executors: {cluster: {engine: dask, address: 'tcp://127.0.0.1:1'}}\n"


@pytest.mark.parametrize("has_site", [False, True], ids=["without a site file", "with one"])
def test_a_run_without_remote_steps_loads_no_driver(tmp_path: Path, has_site: bool) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "functions.py").write_text("def double(number): return 2 * number\n")
    if has_site:
        (tmp_path / "executors.yaml").write_text(SITE)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "run", "spec.yaml", "--db", "runs.db", "--no-input"],
        cwd=tmp_path,
        env=orc_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads((tmp_path / "modules.json").read_text())
    assert "orc.scheduler.executors.local" in loaded
    assert [
        name
        for name in loaded
        if any(name == absent or name.startswith(f"{absent}.") for absent in ABSENT)
    ] == []
