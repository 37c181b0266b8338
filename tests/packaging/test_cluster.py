"""docs/cluster.md step by step, with the wheel in an environment for each machine.

The environments have what orc depends on by a path file; orc itself is the installed wheel. About 20 s,
with `make torture`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.executors.clusters import needs_dask
from tests.packaging.test_distribution import build, install, new_environment
from tests.processes import ROOT, orc_environment, read_events, wait_until

pytestmark = [needs_dask, pytest.mark.torture]

WAIT_S = 60.0
PAGE = (ROOT / "docs" / "cluster.md").read_text("utf-8")
# That of the page, with what this machine has.
SPEC = """
project: two-machines
executor: cluster
ship: ["*.py"]
concurrency: {total: 4, cluster: 16}
steps:
  train:
    run: python3 "$ORC_SPEC_DIR/train.py"
    resources: {cpu: 1}
    labels: [a100]
    queue_timeout: 1d
    files: ["model/*.pt"]
  count:
    needs: [train]
    python: "train:count"
  killed:
    run: |
      echo "$ORC_ATTEMPT $PPID" >>"$PLACE/starts.new"; cp "$PLACE/starts.new" "$PLACE/starts"
      test "$ORC_ATTEMPT" -gt 1 || sleep 120
"""
TRAIN = """
import os
from pathlib import Path


def count():
    return len(Path("model/a.pt").read_bytes())


if __name__ == "__main__":
    Path("model").mkdir()
    Path("model/a.pt").write_bytes(os.urandom(100_000))
"""


class Machine:
    """An environment with the wheel, and a folder with the site file and the certificates."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        self.place = folder / "cluster"
        self.place.mkdir(parents=True)
        python = new_environment(folder / "environment")
        install(python, wheel)
        self.orc = python.with_name("orc")
        self.environment = orc_environment(
            PATH=f"{python.parent}:{os.environ['PATH']}",
            HOME=str(folder),
            TMPDIR=str(folder),
            ORC_WORKER_DIR=str(folder),
        )
        self.environment.pop("PYTHONPATH", None)

    def call(self, *arguments: str, code: int = 0) -> str:
        """What a command prints; its exit code must be `code`."""
        done = subprocess.run(
            [self.orc, *arguments],
            cwd=self.place, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=WAIT_S,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def sees_workers(self) -> bool:
        """Whether `orc executors` shows two workers with the label."""
        done = subprocess.run(
            [self.orc, "executors"],
            cwd=self.place, env=self.environment, capture_output=True, text=True, timeout=WAIT_S,
        )  # fmt: skip
        return done.returncode == 0 and "TLS; 2 workers" in done.stdout

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that runs until the block ends."""
        log = self.folder / f"{arguments[1]}-{time.monotonic_ns()}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.orc, *arguments],
                cwd=self.place, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        except BaseException:
            print(log.read_text())
            raise
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(WAIT_S)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def site_of_the_page() -> str:
    """The first site file of the page; its scheduler listens on a free port of this machine."""
    text = str(re.findall(r"```yaml\n(executors:\n.*?)```", PAGE, re.DOTALL)[0])
    assert "tls://head:8786" in text
    return text.replace("tls://head:8786", f"tls://127.0.0.1:{free_port()}") + "    lease: 3s\n"


def test_the_page_is_true_of_a_wheel_in_two_environments(wheel: Path, tmp_path: Path) -> None:
    head, node = Machine(tmp_path / "head", wheel), Machine(tmp_path / "node", wheel)
    head.call("cluster", "certs", "certs")
    shutil.copytree(head.place / "certs", node.place / "certs")
    assert stat.S_IMODE((node.place / "certs" / "key.pem").stat().st_mode) == 0o600
    site = site_of_the_page()
    for machine in (head, node):
        (machine.place / "executors.yaml").write_text(site)
    (head.place / "train.py").write_text(TRAIN)
    (head.place / "spec.yaml").write_text(SPEC + f"env: {{PLACE: {tmp_path}}}\n")
    assert "the scheduler does not answer" in head.call("executors", code=7)
    arguments = ("cluster", "worker", "cluster", "--cpu", "2", "--label", "a100")
    with (
        head.started("cluster", "scheduler", "cluster"),
        node.started(*arguments),
        node.started(*arguments),
    ):
        wait_until(head.sees_workers, within_s=WAIT_S, what="two workers in `orc executors`")
        with head.started("run", "spec.yaml", "--no-input") as run:
            wait_until(
                lambda: (tmp_path / "starts").exists() or run.poll() is not None,
                within_s=WAIT_S,
                what="the start of the command",
            )
            assert run.poll() is None
            # The parent of a command is its worker.
            os.kill(int((tmp_path / "starts").read_text().split()[1]), signal.SIGKILL)
            assert run.wait(WAIT_S) == 0
    starts = (tmp_path / "starts").read_text().splitlines()
    assert [line.split()[0] for line in starts] == ["1", "2"]
    events = read_events(head.place / "runs.db")
    assert [one["data"]["reason"] for one in events if one["type"] == "step.interrupted"] == [
        "worker"
    ]
    (output,) = [
        one["data"]["output"]["value"]
        for one in events
        if one["type"] == "step.succeeded" and one["step"] == "count"
    ]
    assert output == 100_000
    (made,) = (head.place / "runs").rglob("model/a.pt")
    assert made.stat().st_size == 100_000
    assert "intact" in head.call("verify")
