"""Values of options that several commands share."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orc.cli.errors import UsageProblem
from orc.cli.options import parse_since
from tests.cli.command_line import orc, submit


def test_since_is_a_duration_or_a_utc_time() -> None:
    now = datetime(2026, 11, 2, 12, tzinfo=UTC)

    assert parse_since(None) is None
    assert parse_since("30m", now=now) == "2026-11-02T11:30:00.000000Z"
    assert parse_since("2d", now=now) == "2026-10-31T12:00:00.000000Z"
    assert parse_since("2026-11-01") == "2026-11-01T00:00:00.000000Z"
    assert parse_since("2026-11-01T10:00+02:00") == "2026-11-01T08:00:00.000000Z"
    with pytest.raises(UsageProblem, match="out of range"):
        parse_since("0001-01-01T00:00+05:00")


@pytest.mark.parametrize(
    "command",
    [
        "list --limit",
        "tail latest --last",
        "search word --limit",
        "show latest --at",
        "graph latest --at",
        "logs latest a --attempt",
        "chaos spec.yaml --sample",
        "browse --port",
    ],
)
def test_a_number_that_no_table_can_hold_is_a_usage_error(command: str) -> None:
    said = orc(*command.split(), "9" * 30)
    assert said.code == 2
    assert "Invalid value" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "command", ["list --project", "show", "blame", "diff latest", "search", "why latest", "tail"]
)
def test_an_argument_that_is_not_utf_8_is_no_bug(command: str) -> None:
    submit("project: x\nsteps: {a: {value: 1}}\n")
    said = orc(*command.split(), "\udcff")
    assert said.code in (0, 2, 6), said.err
    assert "Traceback" not in said.err


def test_the_reason_of_a_cancel_is_cleaned_and_cut() -> None:
    submit("project: x\nsteps: {a: {approval: May I?}}\n")
    assert orc("cancel", "latest", "--reason", "\udcff" + "y" * 20_000).code == 0
    lines = orc("tail", "latest", "--type", "job.cancelled", "--json").lines()
    assert [(line["reason"][:2], len(line["reason"])) for line in lines] == [("\ufffdy", 10_000)]
