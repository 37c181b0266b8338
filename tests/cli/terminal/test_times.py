"""Recorded times as people read them."""

from __future__ import annotations

from pathlib import Path

from orc.cli.terminal.times import ago, when
from tests.cli.command_line import orc, write

AT = "2026-11-01T12:30:00.123456Z"
NOON_S = 1793536200.0
"""The second of AT, since 1970."""


def test_a_recorded_time_is_relative_or_exact() -> None:
    assert ago(AT, now_s=NOON_S + 200) == "3 m ago"
    assert when(AT) == "2026-11-01 12:30:00 UTC"


def test_an_invalid_time_is_unknown() -> None:
    assert ago("yesterday") == "unknown"


def test_a_list_says_how_long_ago_and_its_json_and_the_job_say_when(here: Path) -> None:
    spec = write("spec.yaml", "project: p\nsteps: {a: {value: 1}}\n")
    assert orc("run", spec).code == 0
    assert orc("list").out.rstrip().endswith((" ago", "just now"))
    submitted = orc("list", "--json").json()["submitted_at"]
    assert when(submitted) in orc("show", "latest").out
