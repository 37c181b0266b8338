"""Where the system starts no more threads or processes, commands say so and exit with 7."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

import orc
from orc.cli.exit_codes import code_for_error
from orc.cli.jobs import folders
from orc.ledger.exit_codes import ENVIRONMENT, STORAGE
from tests.cli.command_line import orc as orc_command
from tests.cli.command_line import work_in, write
from tests.other_users import shared_folder
from tests.processes import ORC, WAIT_S, orc_environment

NOBODY = 65534
_NO_THREAD = "can't start new thread"

other_user = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None or shutil.which("prlimit") is None,
    reason="root has no limit of processes, and only root, with setpriv, can be another user",
)


def run_with_one_process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `orc` as a user who may have one process. The user may read all files, as root's Python."""
    capability = "-all,+dac_read_search"
    return subprocess.run(
        [
            *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
            *(f"--inh-caps={capability}", f"--ambient-caps={capability}"),
            *("prlimit", "--nproc=1", str(ORC), *arguments),
        ],
        cwd=cwd,
        # Packages of tests that are imported if they are there start threads of their own.
        env={**orc_environment(), "HOME": str(cwd), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )


@pytest.fixture
def foreign() -> Iterator[Path]:
    """The other user's folder, with a spec in it, where that user can reach it."""
    with shared_folder() as folder:
        (folder / "spec.yaml").write_text(
            "project: few\nsteps:\n  a: {run: echo x}\n"
            "  b: {python: 'math:sqrt', args: {x: 4}}\n  c: {value: 1}\n"
        )
        os.chown(folder, NOBODY, NOBODY)
        yield folder


def say_so(foreign: Path, *commands: str) -> None:
    for command in commands:
        done = run_with_one_process(*command.split(), cwd=foreign)
        assert done.returncode == ENVIRONMENT, done.stderr
        assert "the system starts no more processes or threads" in done.stderr
        assert "Traceback" not in done.stderr


@other_user
def test_a_run_says_that_no_process_can_be_started(foreign: Path) -> None:
    say_so(foreign, "run spec.yaml")


@other_user
@pytest.mark.torture
def test_resume_and_browse_say_so_too(foreign: Path) -> None:
    say_so(foreign, "run spec.yaml", "resume latest", "browse --no-open")


async def test_the_api_raises_its_own_error_without_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_in(tmp_path, monkeypatch)

    async def refuse(*args: object, **options: object) -> None:
        raise RuntimeError(_NO_THREAD)

    monkeypatch.setattr(trio.to_thread, "run_sync", refuse)
    with pytest.raises(orc.EnvironmentProblem, match="no more processes or threads"):
        await orc.jobs_async()


def test_a_run_goes_on_without_the_thread_that_publishes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_in(tmp_path, monkeypatch)
    tries: list[object] = []

    async def refuse(*args: object, **options: object) -> None:
        tries.append(args)
        raise RuntimeError(_NO_THREAD)

    monkeypatch.setattr(folders, "REFRESH_S", 0.01)
    monkeypatch.setattr(trio.to_thread, "run_sync", refuse)
    write("spec.yaml", "project: x\nprovider: replay\nsteps: {a: {prompt: x}}\n")
    write("replies.json", '{"replies": {"a": [{"text": "y", "latency_s": 0.3}]}}')
    said = orc_command("run", "spec.yaml", "--replies", "replies.json")
    assert (said.code, tries != []) == (0, True), said.err
    assert list(Path("runs").glob("*/manifest.json"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError(_NO_THREAD), ENVIRONMENT),
        (RuntimeError("anything else"), None),
        (MemoryError(), ENVIRONMENT),
        (OSError(24, "Too many open files"), ENVIRONMENT),
        (OSError(28, "No space left on device"), STORAGE),
        (OSError(2, "No such file or directory"), STORAGE),
    ],
)
def test_what_the_machine_lacks_has_an_exit_code(error: Exception, code: int | None) -> None:
    assert code_for_error(error) == code
