"""Failpoints: the syntax of the variable, and the actions at a place."""

from __future__ import annotations

import ast
import errno
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orc.ledger import failpoints
from orc.ledger.errors import BadFailpoint
from tests.processes import ROOT, WAIT_S, end_process, start_python, wait_until

PLACE = "ledger.after_commit"
OTHER = "file.after_write"


@pytest.fixture(autouse=True)
def unarmed() -> Iterator[None]:
    yield
    failpoints.arm(None)


def refused(*places: str) -> list[bool]:
    """For each hit of these places, whether it raised OSError."""
    found = []
    for place in places:
        try:
            failpoints.hit(place)
        except OSError:
            found.append(True)
        else:
            found.append(False)
    return found


def places_in_the_code() -> Iterator[str]:
    for folder in ("ledger", "providers", "scheduler", "projections", "cli"):
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text("utf-8")
            if "failpoints" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "failpoints.hit":
                    yield ast.literal_eval(node.args[0])


def test_the_places_are_those_that_the_code_hits() -> None:
    assert {*places_in_the_code()} == {
        *failpoints.PLACES,
        *failpoints.EXECUTOR_PLACES,
        *failpoints.BATCH_PLACES,
        *failpoints.COMMAND_PLACES,
    }


def test_a_hit_without_a_matching_entry_does_nothing() -> None:
    failpoints.hit(PLACE)
    failpoints.arm(f"{OTHER}=errno:EIO")
    failpoints.hit(PLACE)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("ledger.after_comit=kill", "unknown place ledger.after_comit"),
        ("ledger.after_commit@0=kill", "the count after @ must be a positive integer or *"),
        ("ledger.after_commit@-1=kill", "the count after @ must be a positive integer or *"),
        ("ledger.after_commit@x=kill", "the count after @ must be a positive integer or *"),
        ("ledger.after_commit@\u00b2=kill", "the count after @ must be a positive integer or *"),
        ("ledger.after_commit", "must be kill, stop, errno:NAME or sleep:SECONDS"),
        ("ledger.after_commit=explode", "must be kill"),
        ("ledger.after_commit=kill:9", "must be kill"),
        ("ledger.after_commit=errno:ENOSUCH", "must be kill"),
        ("ledger.after_commit=errno", "must be kill"),
        ("ledger.after_commit=errno:__doc__", "must be kill"),
        ("ledger.after_commit=sleep:long", "must be kill"),
        ("ledger.after_commit=sleep:", "must be kill"),
        ("ledger.after_commit=sleep:\u00b2", "must be kill"),
        ("=kill", "unknown place"),
    ],
)
def test_the_error_for_an_invalid_entry_names_it(entry: str, message: str) -> None:
    with pytest.raises(BadFailpoint) as refusal:
        failpoints.arm(f"{OTHER}=errno:EIO; {entry}")
    assert str(refusal.value).startswith(f"{entry}: ")
    assert message in str(refusal.value)


def test_the_command_line_refuses_a_bad_entry_with_one_message_and_exit_code_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orc.cli.main", "list"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "ORC_FAILPOINTS": "nowhere=kill"},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("orc: nowhere=kill: unknown place nowhere")
    assert "Traceback" not in done.stderr


def test_an_entry_without_a_count_acts_only_at_the_first_hit() -> None:
    failpoints.arm(f"{PLACE}=errno:EIO")
    assert refused(PLACE, PLACE) == [True, False]


def test_a_count_counts_the_hits_of_its_own_place() -> None:
    failpoints.arm(f"{PLACE}@2=errno:EIO")
    assert refused(OTHER, PLACE, OTHER, PLACE, PLACE) == [False, False, False, True, False]


def test_a_star_as_the_count_acts_at_each_hit() -> None:
    failpoints.arm(f"{PLACE}@*=errno:EIO")
    assert refused(PLACE, OTHER, PLACE) == [True, False, True]


def test_a_star_as_the_place_counts_all_hits() -> None:
    failpoints.arm("*@3=errno:EIO")
    assert refused(PLACE, OTHER, PLACE, OTHER) == [False, False, True, False]


def test_all_entries_are_used() -> None:
    failpoints.arm(f"{PLACE}=errno:EIO; {OTHER}@2=errno:EIO")
    assert refused(PLACE, OTHER, OTHER) == [True, False, True]


def test_arming_again_resets_the_counts() -> None:
    for _ in range(2):
        failpoints.arm(f"{PLACE}@2=errno:EIO")
        assert refused(PLACE, PLACE) == [False, True]


def test_an_errno_entry_raises_an_oserror_with_that_number() -> None:
    failpoints.arm(f"{PLACE}=errno:ENOSPC")
    with pytest.raises(OSError, match="No space left") as error:
        failpoints.hit(PLACE)
    assert error.value.errno == errno.ENOSPC


def test_a_sleep_entry_sleeps_for_its_seconds() -> None:
    failpoints.arm(f"{PLACE}=sleep:0.05")
    began = time.monotonic()
    failpoints.hit(PLACE)
    assert time.monotonic() - began >= 0.05


def test_a_trace_line_is_written_before_the_action(tmp_path: Path) -> None:
    failpoints.arm(f"trace:{tmp_path / 'hits'};{PLACE}@2=errno:EIO")
    refused(PLACE, OTHER, PLACE)
    assert (tmp_path / "hits").read_text().split() == [f"{PLACE}@1", f"{OTHER}@1", f"{PLACE}@2"]


_PROGRAM = """
import sys
from orc.ledger import failpoints
failpoints.arm_from_environment()
failpoints.hit("ledger.after_commit")
print("after", flush=True)
"""


def test_a_kill_ends_the_process_at_once() -> None:
    process = start_python(_PROGRAM, env={failpoints.VARIABLE: f"{PLACE}=kill"})
    try:
        out, err = process.communicate(timeout=WAIT_S)
    finally:
        end_process(process)
    assert (process.returncode, out, err) == (-signal.SIGKILL, "", "")


def test_a_stop_suspends_the_process_until_sigcont() -> None:
    process = start_python(_PROGRAM, env={failpoints.VARIABLE: f"{PLACE}=stop"})
    try:
        wait_until(lambda: _state(process.pid) == "T", what="the stop")
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=WAIT_S)
    finally:
        end_process(process)
    assert (process.returncode, out) == (0, "after\n")


def _state(pid: int) -> str:
    shown = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip()[:1]
