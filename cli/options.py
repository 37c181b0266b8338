"""Options that several commands share, declared once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from orc.cli.completion import complete_jobs, complete_steps
from orc.cli.errors import UsageProblem
from orc.scheduler.core.durations import parse_duration

Job = Annotated[
    str,
    typer.Argument(
        help="A job's id, any unique part of one, `latest`, or `latest~1` for the one before.",
        metavar="JOB",
        autocompletion=complete_jobs,
    ),
]
SpecFile = Annotated[Path, typer.Argument(help="A spec: a YAML file.", metavar="SPEC")]
Database = Annotated[
    Path | None,
    typer.Option("--db", help="The ledger. Default: $ORC_DB, else ./runs.db.", metavar="PATH"),
]
RunsDir = Annotated[
    Path | None,
    typer.Option(help="Where run folders go. Default: runs/ beside the ledger.", metavar="DIR"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask anything.")]
Force = Annotated[
    bool,
    typer.Option("--force", help="Overwrite files in output_dir that orc did not write."),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run the commands of a job or a ledger that somebody else made or can write to.",
    ),
]
Replies = Annotated[
    Path | None,
    typer.Option(help="Recorded replies. Default: SPEC's .replay.yaml.", metavar="FILE"),
]
Only = Annotated[
    str | None,
    typer.Option(
        help="Run only these steps, and what they need; the others stay pending.",
        metavar="STEP[,STEP]",
    ),
]
Again = Annotated[
    list[str],
    typer.Option(
        "--step",
        help="A step to run again; may be given again.",
        metavar="STEP",
        autocompletion=complete_steps,
    ),
]
FromStep = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Run this step anew, and what follows.",
        metavar="STEP",
        autocompletion=complete_steps,
    ),
]
StepFilter = Annotated[
    str | None,
    typer.Option("--step", help="Only this step's events.", autocompletion=complete_steps),
]
At = Annotated[
    int | None,
    typer.Option("--at", help="As it was after this event of the job.", metavar="VERSION", min=1),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", help="A value for an input of the spec.", metavar="KEY=VALUE"),
]
InputsFile = Annotated[
    Path | None,
    typer.Option("--inputs", help="A YAML or JSON file of inputs; -i wins.", metavar="FILE"),
]
Strict = Annotated[
    bool,
    typer.Option(help="Refuse parameters that a provider drops; a tolerated failure exits 1."),
]
Full = Annotated[bool, typer.Option("--full", help="All of every text, and every line.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on as more comes.")]
TargetFile = Annotated[Path, typer.Argument(help="The new file.", metavar="FILE")]
ReplaceFile = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
Yes = Annotated[
    bool, typer.Option("--yes", help="Do it; without this, only say what would be done.")
]
Reason = Annotated[
    str | None, typer.Option(help="Why, for the event that tells of it.", metavar="TEXT")
]
AskingStep = Annotated[str, typer.Argument(help="The step that asks.", metavar="STEP")]
Comment = Annotated[str | None, typer.Option(help="Kept with the decision.", metavar="TEXT")]


def split_names(text: str | None) -> tuple[str, ...]:
    """`a,b` as names."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def parse_since(text: str | None, *, now: datetime | None = None) -> str | None:
    """The moment as UTC text that sorts like recorded times; none for none.

    `30m` and `2d` count back from `now`, by default the clock's; a day or a time is
    UTC, unless it says otherwise. Raises UsageProblem.
    """
    if text is None:
        return None
    try:
        moment = (now or datetime.now(UTC)) - timedelta(seconds=parse_duration(text))
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise UsageProblem(
                f"--since {text!r} is neither a duration, such as 30m or 2d, nor a day, such as "
                "2026-11-01"
            ) from None
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    try:
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (OverflowError, ValueError):
        raise UsageProblem(f"--since {text!r} is out of the calendar") from None
