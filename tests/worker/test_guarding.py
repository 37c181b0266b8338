"""The gate in front of a command."""

from __future__ import annotations

import subprocess

import pytest

from orc.worker.guarding import gated

TEXT = ("/bin/sh", "-ec", "echo seen; cat; exit 3")
LIST = ("sh", "-c", "echo seen; cat; exit 3")


@pytest.mark.parametrize("argv", [TEXT, LIST, (*TEXT[:2], TEXT[2] + " #" + "x" * 40_000)])
def test_a_command_starts_after_the_line_and_reads_none_of_it(argv: tuple[str, ...]) -> None:
    ended = subprocess.run(gated(argv), input=b"\nmore\n", capture_output=True, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == (b"seen\n", b"", 3)


@pytest.mark.parametrize("argv", [TEXT, LIST])
def test_a_command_whose_starter_has_died_never_starts(argv: tuple[str, ...]) -> None:
    ended = subprocess.run(gated(argv), input=b"", capture_output=True, check=False)
    assert ended.stdout == b""
    assert ended.returncode != 0


def test_a_text_needs_no_second_shell() -> None:
    assert gated(TEXT)[:2] == ["/bin/sh", "-ec"]
    assert gated(TEXT)[2].endswith(TEXT[2])
    assert gated(LIST)[-3:] == [*LIST]
