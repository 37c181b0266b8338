"""Commands: their environment, their output, and the message for each way to end."""

from __future__ import annotations

import os
import stat
import time
import tracemalloc
from pathlib import Path

import pytest
import trio

from orc.ledger.definition import DEFAULT_LIMITS
from orc.ledger.secrets.masking import NO_MASK
from orc.scheduler.effects.contract import OUTPUT_BYTES_MAX, CommandRequest, Result
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.pipes import DRAIN_S
from tests.processes import members_of, wait_for
from tests.scheduler.effects.conftest import GRACE_S, Command
from tests.scheduler.effects.performing import perform_run

WITHIN_S = 20


async def perform(
    request: CommandRequest, groups: ProcessGroups, *, wants_json: bool = False
) -> Result:
    with trio.fail_after(WITHIN_S):
        return await perform_run(request, groups=groups, mask=NO_MASK, wants_json=wants_json)


async def assert_group_is_gone(group: int) -> None:
    """Wait until the process group is gone; a killed process needs a moment to end."""
    await wait_for(lambda: not members_of(group))


async def read_when_there(path: Path) -> str:
    """Wait until the file has text, and return it."""
    await wait_for(lambda: path.exists() and path.read_text())
    return path.read_text()


async def test_stdout_is_the_output_less_one_final_newline(
    command: Command, groups: ProcessGroups
) -> None:
    result = await perform(command("printf 'one\\ntwo\\n\\n'"), groups)
    assert (result.value, result.failed, result.warning) == ("one\ntwo\n", None, None)


async def test_both_streams_go_to_the_log_and_only_stdout_to_the_output(
    command: Command, groups: ProcessGroups
) -> None:
    request = command("echo out; echo err >&2")
    result = await perform(request, groups)
    assert result.value == "out"
    assert sorted(Path(request.log_path).read_text().splitlines()) == ["err", "out"]
    assert stat.S_IMODE(Path(request.log_path).stat().st_mode) == 0o600


async def test_a_silent_command_leaves_no_log(command: Command, groups: ProcessGroups) -> None:
    request = command("true")
    assert (await perform(request, groups)).value == ""
    assert not Path(request.log_path).exists()


async def test_a_command_reads_nothing_from_stdin(command: Command, groups: ProcessGroups) -> None:
    result = await perform(command("cat; wc -c; readlink /proc/self/fd/0 || true"), groups)
    assert str(result.value).split() in (["0", "/dev/null"], ["0"])


async def test_a_command_leads_a_group_and_a_session_of_its_own(
    command: Command, groups: ProcessGroups
) -> None:
    result = await perform(command("echo $$; ps -o pgid=,sid= -p $$"), groups)
    pid, group, session = str(result.value).split()
    assert pid == group == session
    assert int(group) != os.getpgid(0)


async def test_a_command_inherits_no_descriptor(command: Command, groups: ProcessGroups) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("lists descriptors by /proc, which Linux has")
    read, write = os.pipe()
    os.set_inheritable(read, True)
    try:
        result = await perform(command(("ls", "/proc/self/fd")), groups)
    finally:
        os.close(read)
        os.close(write)
    # The fourth is the folder being listed.
    assert str(result.value).split() == ["0", "1", "2", "3"]


async def test_an_exit_code_is_reported_with_the_last_line_of_stderr(
    command: Command, groups: ProcessGroups
) -> None:
    failed = (await perform(command("echo first >&2; echo last >&2; exit 7"), groups)).failed
    assert failed is not None
    assert (failed.kind, failed.exit_code, failed.signal) == ("exit_code", 7, None)
    assert failed.message == "the command exited with code 7: last"


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV", "HUP"])
async def test_an_end_by_a_signal_is_reported_by_its_name(
    command: Command, groups: ProcessGroups, name: str
) -> None:
    failed = (await perform(command(f"kill -{name} $$"), groups)).failed
    assert failed is not None
    assert (failed.kind, failed.exit_code, failed.signal) == ("signal", None, f"SIG{name}")


async def test_the_first_failing_line_ends_a_script(
    command: Command, groups: ProcessGroups
) -> None:
    result = await perform(command("false\necho unreached"), groups)
    assert result.failed is not None
    assert result.failed.exit_code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("no-such-command-anywhere",),
            "the command 'no-such-command-anywhere' was not found on PATH",
        ),
        (("./nothing",), "no './nothing' in the folder where the command starts"),
        (("./plain",), "'./plain' is not executable"),
        (("./folder",), "'./folder'"),
    ],
)
async def test_a_command_that_cannot_be_run_is_a_fault_of_the_environment(
    command: Command, groups: ProcessGroups, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "folder").mkdir()
    failed = (await perform(command(words), groups)).failed
    assert failed is not None
    assert failed.kind == "environment"
    assert message in failed.message


async def test_a_missing_working_folder_is_a_fault_of_the_environment(
    command: Command, groups: ProcessGroups, tmp_path: Path
) -> None:
    request = command("true")
    gone = CommandRequest(request.argv, request.env, f"{tmp_path}/gone", request.log_path)
    failed = (await perform(gone, groups)).failed
    assert failed is not None
    assert (failed.kind, failed.message) == (
        "environment",
        f"there is no folder {tmp_path}/gone, where the command starts",
    )


async def test_words_reach_the_command_as_they_are(command: Command, groups: ProcessGroups) -> None:
    words = ("printf", "%s|", "a b", "$HOME", "*", "'", "", "-n", "\u00fc")
    assert (await perform(command(words), groups)).value == "a b|$HOME|*|'||-n|\u00fc|"


@pytest.mark.parametrize("over", [0, 1])
async def test_output_over_a_mebibyte_fails_and_ends_the_command(
    command: Command, groups: ProcessGroups, over: int
) -> None:
    endless = "; sleep 60" if over else ""
    result = await perform(command(f"head -c {OUTPUT_BYTES_MAX + over} /dev/zero{endless}"), groups)
    if over:
        assert result.failed is not None
        assert result.failed.kind == "output_too_large"
        assert "1 MiB" in result.failed.message
    else:
        assert len(str(result.value)) == OUTPUT_BYTES_MAX


async def test_a_hundred_megabytes_in_one_line_pass_through_bounded_memory(
    command: Command, groups: ProcessGroups
) -> None:
    request = command("head -c 100000000 /dev/zero >&2; echo done")
    tracemalloc.start()
    try:
        result = await perform(request, groups)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.value == "done"
    assert result.warning == "the log was cut at 64 MiB"
    assert Path(request.log_path).stat().st_size == DEFAULT_LIMITS.log_bytes
    assert peak_bytes < 4 * 1024 * 1024


async def test_output_on_both_streams_at_once_does_not_block(
    command: Command, groups: ProcessGroups
) -> None:
    script = "head -c 500000 /dev/zero >&2 & head -c 500000 /dev/zero; wait"
    result = await perform(command(script), groups)
    assert len(str(result.value)) == 500_000


async def test_bytes_that_are_not_utf8_stay_in_the_log_and_are_marked_in_the_output(
    command: Command, groups: ProcessGroups
) -> None:
    request = command("printf 'a\\377b'")
    result = await perform(request, groups)
    assert result.value == "a\ufffdb"
    assert result.warning == "the output was not valid UTF-8; the log has the original bytes"
    assert Path(request.log_path).read_bytes() == b"a\xffb"


async def test_a_replacement_character_that_was_printed_is_no_broken_output(
    command: Command, groups: ProcessGroups
) -> None:
    result = await perform(command("printf 'a\\357\\277\\275b'"), groups)
    assert (result.value, result.warning) == ("a\ufffdb", None)


async def test_json_output_becomes_a_value_and_other_output_a_failure(
    command: Command, groups: ProcessGroups
) -> None:
    good = await perform(command("echo '{\"a\": [1, null]}'"), groups, wants_json=True)
    assert good.value == {"a": [1, None]}
    bad = await perform(command("echo nonsense"), groups, wants_json=True)
    assert bad.failed is not None
    assert bad.failed.kind == "schema"


async def test_a_background_child_that_holds_stdout_does_not_keep_the_step(
    command: Command, groups: ProcessGroups
) -> None:
    begun_s = time.monotonic()
    result = await perform(command("echo $$; sleep 60 & exit 0"), groups)
    assert DRAIN_S <= time.monotonic() - begun_s < DRAIN_S + 5
    assert result.failed is None
    assert (
        result.warning
        == "a background process kept the output open after the command ended; it was killed"
    )
    await assert_group_is_gone(int(str(result.value)))


async def test_output_is_whole_although_orc_was_away_after_the_command_had_ended(
    command: Command, groups: ProcessGroups
) -> None:
    async def go_away() -> None:
        await trio.sleep(0.1)
        time.sleep(DRAIN_S + 0.5)  # noqa: ASYNC251  # the loop stands still

    async with trio.open_nursery() as nursery:
        nursery.start_soon(go_away)
        result = await perform(command("(sleep 0.3; echo late) & echo first"), groups)
    assert (result.value, result.warning) == ("first\nlate", None)


async def test_what_a_background_child_prints_just_after_the_end_is_kept(
    command: Command, groups: ProcessGroups
) -> None:
    result = await perform(command("(sleep 0.1; echo late) & echo early"), groups)
    assert (result.value, result.warning) == ("early\nlate", None)


async def test_a_silent_background_child_is_ended_with_its_step(
    command: Command, groups: ProcessGroups
) -> None:
    result = await perform(command("sleep 60 >/dev/null 2>&1 & echo $$"), groups)
    assert result.warning is None
    await assert_group_is_gone(int(str(result.value)))


STUBBORN = "trap '' TERM HUP INT; echo $$ > pid; while :; do sleep 0.05; done"


@pytest.mark.parametrize(
    "script",
    [
        "echo $$ > pid; sleep 60",
        STUBBORN,
        f"({STUBBORN}) & echo $$ > pid; sleep 60",
        "(trap '' TERM; sleep 60) & echo $$ > pid; exit 0",
    ],
    ids=["plain", "ignores_sigterm", "child_ignores_sigterm", "child_holds_the_pipes"],
)
async def test_cancelling_a_command_ends_its_whole_group(
    command: Command, groups: ProcessGroups, tmp_path: Path, script: str
) -> None:
    with trio.fail_after(WITHIN_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: perform_run(command(script), groups=groups, mask=NO_MASK))
            await read_when_there(tmp_path / "pid")
            begun_s = time.monotonic()
            nursery.cancel_scope.cancel()
    assert time.monotonic() - begun_s < GRACE_S + 5
    await assert_group_is_gone(int((tmp_path / "pid").read_text()))


async def test_a_command_gets_sigterm_and_its_grace_period_first(
    command: Command, groups: ProcessGroups, tmp_path: Path
) -> None:
    script = "trap 'sleep 0.05; echo tidied > tidy; exit 0' TERM; echo $$ > pid; sleep 60 & wait"
    with trio.fail_after(WITHIN_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: perform_run(command(script), groups=groups, mask=NO_MASK))
            await read_when_there(tmp_path / "pid")
            nursery.cancel_scope.cancel()
    assert (tmp_path / "tidy").read_text() == "tidied\n"


async def test_skip_grace_ends_a_command_without_a_grace_period(
    command: Command, tmp_path: Path
) -> None:
    patient = ProcessGroups(grace_s=60)
    try:
        with trio.fail_after(WITHIN_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    lambda: perform_run(command(STUBBORN), groups=patient, mask=NO_MASK)
                )
                pid = int(await read_when_there(tmp_path / "pid"))
                nursery.cancel_scope.cancel()
                patient.skip_grace()
    finally:
        patient.close()
    await assert_group_is_gone(pid)


async def test_a_log_that_cannot_be_written_does_not_fail_the_command(
    command: Command, groups: ProcessGroups, tmp_path: Path
) -> None:
    """For instance, a step may have deleted its run folder."""
    request = command("echo out")
    lost = CommandRequest(request.argv, request.env, str(tmp_path), f"{tmp_path}/gone/step.log")
    result = await perform(lost, groups)
    assert result.value == "out"
    assert result.warning is not None
    assert result.warning.startswith("the log could not be written")
