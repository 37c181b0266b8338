"""Telemetry against an independent receiver of OTLP: oteltap, which is written in Rust."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import run_orc

pytestmark = pytest.mark.providers

SPEC = """\
project: tapped
steps:
  a: {run: "echo one"}
  b: {needs: a, run: "echo two"}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("oteltap does not listen")


def test_an_independent_receiver_reads_the_spans(tmp_path: Path) -> None:
    pytest.importorskip("oteltap", reason="oteltap is not installed")
    port = free_port()
    tap = subprocess.Popen(
        [sys.executable, "-m", "oteltap", "--port", str(port), "--await-span", "invoke_workflow"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(port)
        (tmp_path / "spec.yaml").write_text(SPEC)
        url = f"http://127.0.0.1:{port}"
        ran = run_orc("run", "spec.yaml", cwd=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url)
        assert ran.returncode == 0, ran.stderr
        assert "telemetry" not in ran.stderr
        out, _ = tap.communicate(timeout=30)
    finally:
        tap.kill()
        tap.wait()
    assert tap.returncode == 0
    assert "invoke_workflow tapped" in out
