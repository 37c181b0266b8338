"""When descriptors, processes, memory or disk space run out, orc waits or reports the cause."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from orc.ledger import failpoints
from orc.ledger.definition import ToolDef
from orc.ledger.files.folder import Folder
from orc.ledger.secrets.masking import NO_MASK
from orc.scheduler.effects import groups as groups_module
from orc.scheduler.effects import waiting
from orc.scheduler.effects.child import Child
from orc.scheduler.effects.contract import KnownResult, Toolbox, ToolProblem
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.log import Log
from orc.scheduler.effects.python import WorkerPool
from orc.scheduler.effects.tool_command import run_tool_command
from orc.scheduler.effects.tool_context import ToolContext
from orc.scheduler.effects.tools import open_toolbox
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
from tests.scheduler.effects.performing import perform_run

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
            log_bytes=1000,
            groups=groups,
            mask=NO_MASK,
        )
    assert known.result == {"exit_code": 0, "output": "said\n"}


FILES = tuple(ToolDef(name=name) for name in ("read_file", "write_file", "list_files"))


def given_box(tmp_path: Path, groups: ProcessGroups, *tools: ToolDef) -> tuple[Toolbox, WorkerPool]:
    """A toolbox for an empty project; its command left the file `there.txt`."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "there.txt").write_text("text")
    (tmp_path / "given.py").write_text(FAILING)
    workers = WorkerPool(groups, mask=NO_MASK)
    context = ToolContext(
        env={"PATH": os.environ["PATH"]},
        secrets=(),
        cwd=tmp_path / "work",
        log_path=tmp_path / "step.log",
        import_dir=str(tmp_path),
        files={},
        taken=set,
        read=lambda file: b"",
        open_folder=trio.lowlevel.checkpoint,
    )
    return open_toolbox(tools, context, workers=workers, groups=groups, mask=NO_MASK), workers


FAILING = """
import errno, os
def fail(number): raise OSError(int(number), os.strerror(int(number)))
def memory(): raise MemoryError
def fine(): return 1
"""


@needs_proc
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read_file", {"path": "there.txt"}),
        ("list_files", {}),
        ("run_command", {"argv": ["true"]}),
        ("fine", {}),
    ],
)
async def test_a_model_is_not_told_that_its_tool_call_took_too_many_descriptors(
    groups: ProcessGroups,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arguments: dict[str, Any],
) -> None:
    monkeypatch.setattr(waiting, "PAUSES_S", (0.01, 0.01))
    function = ToolDef(name="fine", function="given:fine", description="x", parameters={})
    box, workers = given_box(tmp_path, groups, *FILES, ToolDef(name="run_command"), function)
    with trio.fail_after(WITHIN_S):
        await box.open()
        with no_descriptor_left(), pytest.raises(ToolProblem, match="Too many open files; raise"):
            await box.call(name, arguments)
        assert not (await box.call(name, arguments)).is_error
        await workers.aclose()


@needs_proc
async def test_a_tool_waits_until_others_give_descriptors_back(
    groups: ProcessGroups, tmp_path: Path
) -> None:
    box, _ = given_box(tmp_path, groups, *FILES, ToolDef(name="run_command"))
    found: list[Any] = []

    async def read() -> None:
        found.append(await box.call("read_file", {"path": "there.txt"}))

    with trio.fail_after(WITHIN_S):
        await box.open()
        async with trio.open_nursery() as nursery:
            with no_descriptor_left():
                nursery.start_soon(read)
                await trio.sleep(0.12)
                assert not found
    assert found == [KnownResult("text", is_error=False)]


@pytest.mark.parametrize(
    ("name", "arguments", "is_shortage"),
    [
        ("fail", {"number": errno.EMFILE}, True),
        ("fail", {"number": errno.ENOSPC}, True),
        ("memory", {}, True),
        ("fail", {"number": errno.ENOENT}, False),
        ("fail", {"number": errno.EACCES}, False),
    ],
)
async def test_a_function_that_lacks_something_is_no_mistake_of_the_model(
    groups: ProcessGroups, tmp_path: Path, name: str, arguments: dict[str, Any], is_shortage: bool
) -> None:
    tool = ToolDef(name=name, function=f"given:{name}", description="x", parameters={})
    box, workers = given_box(tmp_path, groups, tool)
    with trio.fail_after(WITHIN_S):
        await box.open()
        if is_shortage:
            with pytest.raises(ToolProblem, match="could not be used: given:"):
                await box.call(name, arguments)
        else:
            assert (await box.call(name, arguments)).is_error
        await workers.aclose()


@needs_proc
@pytest.mark.parametrize("under", ["", "work"])
def test_a_folder_that_cannot_be_opened_is_not_taken_for_an_empty_one(
    tmp_path: Path, under: str
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "there.txt").write_text("text")
    folder = Folder(tmp_path)
    with no_descriptor_left():
        for look in (
            lambda: list(folder.files(under)),
            lambda: folder.read("work/there.txt"),
            lambda: folder.stat("work/there.txt"),
        ):
            with pytest.raises(OSError, match="Too many open files"):
                look()
    assert list(folder.files(under)) == ["work/there.txt"]


@needs_proc
def test_a_log_that_cannot_be_opened_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "step.log"
    first = Log(path, limit=1000, begins=True)
    first.write(b"before\n")
    first.close()
    second = Log(path, limit=1000)
    with no_descriptor_left():
        second.write(b"lost\n")
    assert second.warning is not None
    assert path.read_bytes() == b"before\n"


def _no_process() -> OSError:
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


@pytest.mark.parametrize("error", [_no_process(), MemoryError()])
async def test_a_process_waits_until_the_system_starts_one(
    command: Command, groups: ProcessGroups, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    refused: list[Any] = []

    def start(*args: Any, **options: Any) -> Child:
        if len(refused) < 2:
            refused.append(args)
            raise error
        return Child(*args, **options)

    monkeypatch.setattr(groups_module, "Child", start)
    with trio.fail_after(WITHIN_S):
        assert (await perform_run(command("echo ran"), groups=groups, mask=NO_MASK)).value == "ran"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (_no_process(), "starts no more processes or threads"),
        (MemoryError(), "Cannot allocate memory; end other programs"),
    ],
)
async def test_a_lack_of_processes_is_the_failure_of_the_attempt(
    command: Command,
    groups: ProcessGroups,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    says: str,
) -> None:
    def start(*args: Any, **options: Any) -> Child:
        raise error

    monkeypatch.setattr(waiting, "PAUSES_S", (0.01, 0.01))
    monkeypatch.setattr(groups_module, "Child", start)
    with trio.fail_after(WITHIN_S):
        failed = (await perform_run(command("true"), groups=groups, mask=NO_MASK)).failed
    assert failed is not None
    assert failed.kind == "environment"
    assert says in failed.message


_WITH_LITTLE_MEMORY = """
import os, sqlite3, sys
os.chdir(sys.argv[1])
sqlite3.connect(":memory:").execute("PRAGMA hard_heap_limit = 1200000")
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
