"""Child processes and their pipes: what each costs, and what a shell's text notices of its gate."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import trio

from orc.ledger.secrets.masking import NO_MASK
from orc.scheduler.effects.child import Child
from orc.scheduler.effects.contract import CommandRequest
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.pipes import Reading
from orc.scheduler.effects.run import run_command
from tests.processes import have_grown, in_use, needs_proc
from tests.scheduler.effects.conftest import Command
from tests.scheduler.effects.performing import perform_run

WITHIN_S = 60


async def said(command: Command, groups: ProcessGroups, text: str) -> str:
    with trio.fail_after(WITHIN_S):
        result = await perform_run(command(text), groups=groups, mask=NO_MASK)
    assert result.failed is None, result.failed
    assert isinstance(result.value, str)
    return result.value


@needs_proc
@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.torture)])
async def test_many_commands_leave_no_descriptor_thread_or_process(
    command: Command, groups: ProcessGroups, count: int
) -> None:
    await said(command, groups, "true")
    before = in_use()
    limiter = trio.CapacityLimiter(8)

    async def one() -> None:
        async with limiter:
            await run_command(command("echo $$"), groups=groups, mask=NO_MASK)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(one)
    assert not have_grown(before)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("echo $0 $#", "/bin/sh 0"),
        ("# a comment\necho done", "done"),
        ("cat <<END\none\nEND", "one"),
        ("cat; echo read", "read"),
        ("", ""),
        ("cd /; pwd; echo ${OLDPWD:-none}", None),
    ],
)
async def test_a_text_for_the_shell_does_not_notice_its_gate(
    command: Command, groups: ProcessGroups, text: str, value: str | None
) -> None:
    request = command(text)
    plain = _plain(request)
    found = await said(command, groups, text)
    assert found == plain.stdout.decode().removesuffix("\n")
    assert value is None or found == value


async def test_the_shells_messages_name_the_lines_of_the_text(
    command: Command, groups: ProcessGroups
) -> None:
    request = command("true\nno_such_command_here")
    plain = _plain(request)
    await perform_run(request, groups=groups, mask=NO_MASK)
    assert Path(request.log_path).read_bytes() == plain.stderr


async def test_a_text_that_is_too_long_for_the_gate_gets_a_shell_of_its_own(
    command: Command, groups: ProcessGroups
) -> None:
    assert await said(command, groups, f": {'x' * 130_000}; echo long") == "long"


async def test_a_command_reads_the_file_that_is_its_stdin_whatever_its_name(
    groups: ProcessGroups, tmp_path: Path
) -> None:
    source = tmp_path / 'it\'s "here" $(touch made)'
    source.write_text("content")
    with trio.fail_after(WITHIN_S):
        process = await groups.spawn(
            ["/bin/sh", "-ec", "cat"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=source,
        )
        seen = bytearray()
        with Reading(process.pipes(), seen.extend, on_stop=process.stop_waiting) as reading:
            assert await process.wait() == 0
            assert await reading.is_over()
        await groups.end(process)
        process.close()
    assert seen == b"content"
    assert not (tmp_path / "made").exists()


async def test_what_cannot_be_kept_ends_the_reading_with_its_cause(tmp_path: Path) -> None:
    def refuse(piece: bytes) -> None:
        raise MemoryError

    process = _printing("echo one; sleep 30", tmp_path)
    try:
        with (
            trio.fail_after(WITHIN_S),
            pytest.raises(MemoryError),
            Reading(process.pipes(), refuse, on_stop=process.stop_waiting),
        ):
            await process.wait()
    finally:
        os.kill(process.pid, 9)
        await process.wait()
        process.close()


async def test_without_a_descriptor_for_its_end_a_process_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orc.scheduler.effects.child.sys.platform", "other")
    process = _printing("exit 3", tmp_path)
    with trio.fail_after(WITHIN_S):
        assert await process.wait() == 3
    process.close()


def _plain(request: CommandRequest) -> subprocess.CompletedProcess[bytes]:
    """What the command does without orc."""
    return subprocess.run(
        request.argv,
        capture_output=True,
        cwd=request.cwd,
        env=request.env,
        stdin=subprocess.DEVNULL,
    )


def _printing(text: str, cwd: Path) -> Child:
    return Child(
        ["/bin/sh", "-c", text],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env={"PATH": os.environ["PATH"]},
    )
