"""When descriptors, processes, memory or disk space run out, orc waits or reports the cause."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from orc.ledger import failpoints
from orc.ledger.secrets.masking import NO_MASK
from orc.scheduler.effects import waiting
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.python import WorkerPool
from orc.scheduler.effects.run import perform_run
from orc.scheduler.effects.tool_command import run_tool_command
from tests.processes import (
    WAIT_S,
    end_process,
    event_types,
    needs_proc,
    new_marker,
    orc_environment,
    processes_with,
    run_orc,
    start_python,
)
from tests.scheduler.effects.conftest import Command, Function

WITHIN_S = 20


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """In this context the process cannot open any more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@needs_proc
async def test_a_command_waits_until_others_give_descriptors_back(
    command: Command, groups: ProcessGroups
) -> None:
    with trio.fail_after(WITHIN_S):
        async with trio.open_nursery() as nursery:
            with no_descriptor_left():
                nursery.start_soon(
                    lambda: perform_run(command("touch ran"), groups=groups, mask=NO_MASK)
                )
                await trio.sleep(0.12)
                assert not Path(command("").cwd, "ran").exists()
    assert Path(command("").cwd, "ran").exists()


@needs_proc
async def test_a_lack_of_descriptors_is_reported_and_none_leaks(
    command: Command,
    function: Function,
    groups: ProcessGroups,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "PAUSES_S", (0.01, 0.01))
    before = open_descriptors()
    with trio.fail_after(WITHIN_S), no_descriptor_left():
        results = [
            await perform_run(command("true"), groups=groups, mask=NO_MASK),
            await WorkerPool(groups, mask=NO_MASK).call(function("any:thing")),
        ]
    for result in results:
        assert result.failed is not None
        assert result.failed.kind == "environment"
        assert "started: Too many open files; raise the limit" in result.failed.message
    assert open_descriptors() == before


@needs_proc
@pytest.mark.parametrize(("error", "tries"), [("EAGAIN", 2), ("EIO", 1)])
async def test_a_spawn_that_fails_halfway_leaves_no_process_and_a_scarce_one_is_tried_again(
    command: Command, groups: ProcessGroups, tmp_path: Path, error: str, tries: int
) -> None:
    marker = new_marker()
    request = command("echo ran >> runs", env={"ORC_MARK": marker})
    failpoints.arm(f"process.after_spawn@1=errno:{error}")
    try:
        with trio.fail_after(WITHIN_S):
            result = await perform_run(request, groups=groups, mask=NO_MASK)
    finally:
        failpoints.arm(None)
    if tries == 2:
        assert (result.value, (tmp_path / "runs").read_text()) == ("", "ran\n")
    else:
        assert result.failed is not None
        said = "the command could not be started: Input/output error; check the disk"
        assert result.failed.message == said
        assert not (tmp_path / "runs").exists()
    assert processes_with(marker) == []


async def test_a_tools_log_that_cannot_be_written_does_not_fail_the_call(
    groups: ProcessGroups, tmp_path: Path
) -> None:
    with trio.fail_after(WITHIN_S):
        known = await run_tool_command(
            ["echo", "said"],
            allow=(),
            env={"PATH": os.environ["PATH"]},
            cwd=tmp_path,
            log_path=tmp_path / "gone" / "step.log",
            groups=groups,
            mask=NO_MASK,
        )
    assert known.result == {"exit_code": 0, "output": "said\n"}


_WITH_LITTLE_MEMORY = """
import os, sqlite3, sys
os.chdir(sys.argv[1])
sqlite3.connect(":memory:").execute("PRAGMA hard_heap_limit = 900000")
from orc.cli.main import main
sys.argv = ["orc", "run", "spec.yaml"]
main()
"""


def test_memory_that_runs_out_ends_the_run_with_one_sentence_and_the_job_goes_on(
    tmp_path: Path,
) -> None:
    steps = "".join(
        f"  s{n}: {{needs: {[f's{n - 1}'] if n else []}, "
        f"run: 'head -c {n * 100_000} /dev/zero | tr \"\\\\0\" x'}}\n"
        for n in range(9)
    )
    (tmp_path / "spec.yaml").write_text(f"project: large\nsteps:\n{steps}")
    process = start_python(_WITH_LITTLE_MEMORY, str(tmp_path), env=orc_environment())
    try:
        _, said = process.communicate(timeout=WAIT_S)
    finally:
        end_process(process)
    assert process.returncode == 7, said
    assert "orc: there is not enough memory" in said
    assert "Traceback" not in said
    resumed = run_orc("resume", "latest", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert event_types(tmp_path / "runs.db")[-1] == "job.succeeded"
