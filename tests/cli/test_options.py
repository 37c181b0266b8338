"""Values of options that several commands share."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orc.cli.errors import UsageProblem
from orc.cli.options import parse_since
from tests.cli.command_line import orc, submit
from tests.each_case import each_case


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
    assert "must be a whole number from " in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("list -n 0", "'--limit' / '-n': must be a whole number from 1 to 2,147,483,647; got '0'"),
        ("work --jobs x", "'--jobs' / '-j': must be a whole number from 1 to 100; got 'x'"),
        ("scores latest --tolerance x", "'--tolerance': must be a number of at least 0; got 'x'"),
        ("cluster worker c --cpu inf", "'--cpu': must be a number from 0 to 100,000; got 'inf'"),
    ],
)
def test_a_wrong_number_is_told_with_its_bounds(line: str, wanted: str) -> None:
    said = orc(*line.split())
    assert said.code == 2
    assert f"Invalid value for {wanted}" in said.err


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


@each_case(
    "command",
    [
        *(
            "run spec.yaml -m",
            "run spec.yaml -p",
            "run spec.yaml --output-dir",
            "plan spec.yaml -m",
        ),
        *("run spec.yaml --runs-dir", "run spec.yaml --until", "run spec.yaml --replies"),
        *(
            "fork latest --from",
            "resume latest --budget",
            "init --to",
            "list --project",
            "cost --by",
        ),
        *("tail latest --type", "verify", "show", "approve latest", "validate", "redact"),
    ],
)
def test_an_empty_text_is_refused(command: str) -> None:
    submit("project: x\nsteps: {a: {value: 1}}\n")
    said = orc(*command.split(), "")
    assert said.code == 2
    assert "an empty text was given; name a value, or leave it out" in said.err


def test_a_comment_and_a_reason_may_be_empty() -> None:
    submit("project: x\nsteps: {a: {approval: May I?}}\n")
    assert orc("approve", "latest", "a", "--comment", "").code == 0
    assert orc("cancel", "latest", "--reason", "").code == 0


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("run spec.yaml --until ,", "--until ,: must be a name, or a list of names such as a,b"),
        ("resume latest --only ,", "--only ,: must be a name, or a list of names such as a,b"),
        ("tail latest --type step.faild", "did you mean 'step.failed'?"),
        ("tail -f --type foo", "--type: there is no type of events 'foo'"),
        ("graph latest -o x.png", "no format has the ending .png; use .svg, .dot, .gv, .mmd, .txt"),
        ("graph latest --force", "--force has no effect: without --output, no file is written"),
        ("show latest --events --files", "--events and --files cannot be combined; choose one"),
        ("show latest --files --all", "--all has no effect: --files shows everything"),
        ("init --list --force", "--force has no effect: --list writes nothing"),
        ("init --list --to x", "--to has no effect: --list writes nothing"),
        (
            "cluster scheduler x --slots 2",
            "--slots has no effect: it is for a worker, not for scheduler",
        ),
        ("cluster certs x --print", "--print has no effect: certs starts nothing"),
        ("rerun latest --step a --no-input", "No such option: --no-input"),
    ],
)
def test_an_option_that_could_have_no_effect_is_refused(command: str, words: str) -> None:
    submit("project: x\nsteps: {a: {value: 1}}\n")
    said = orc(*command.split())
    assert said.code == 2
    assert words in said.err
