"""Options that several commands share, declared once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from orc.cli.errors import UsageProblem
from orc.cli.parameters import Argument, Option
from orc.ledger.files.descriptors import without_dash


def _load_env_file(path: Path | None) -> Path | None:
    # Imported here, since few commands read such a file.
    from orc.cli.env_file import load_env_file

    return load_env_file(path)


NUMBER_MAX = 2**31 - 1
"""The maximum of a number that an option takes, such as a limit or a version; SQLite holds more."""

Job = Annotated[
    str,
    Argument(
        help="A job's id, a unique part of it, `latest`, or `latest~1` for the job before the latest.",
        metavar="JOB",
        complete="complete_jobs",
    ),
]
SpecFile = Annotated[
    Path,
    Argument(
        help="A spec: a YAML file, or - for stdin.", metavar="SPEC", complete="complete_specs"
    ),
]
Database = Annotated[
    Path | None,
    Option("--db", help="The ledger file. Default: $ORC_DB, else ./runs.db.", metavar="PATH"),
]
RunsDir = Annotated[
    Path | None,
    Option(help="The folder for the run folders. Default: runs/ beside the ledger.", metavar="DIR"),
]
Json = Annotated[bool, Option("--json", help="Print JSON on stdout.")]
EnvFile = Annotated[
    Path | None,
    Option(
        "--env-file",
        help="Read variables, such as keys, from this file (NAME=VALUE a line). The environment's own "
        "come first.",
        metavar="FILE",
        callback=_load_env_file,
        is_eager=True,
    ),
]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Print no progress on stderr.")]
NoInput = Annotated[bool, Option("--no-input", help="Never ask for input on the terminal.")]
Interactive = Annotated[
    bool,
    Option(
        "--interactive", help="Ask for decisions on this terminal, while the job's other steps run."
    ),
]
Force = Annotated[
    bool,
    Option("--force", help="Overwrite files in output_dir that orc did not write."),
]
NoWait = Annotated[
    bool,
    Option(
        "--no-wait",
        help="Leave the job as soon as servers that work on batches are all that it waits for (exit "
        "code 3); `orc resume` continues it.",
    ),
]
KeepWork = Annotated[
    bool,
    Option("--keep-work", help="Keep the working folders of all attempts, in the run folder."),
]
Executors = Annotated[
    list[str] | None,
    Option(
        "--executor",
        help="Run commands and functions on this executor, or only those of one step. Repeatable.",
        metavar="NAME|STEP=NAME",
        complete="complete_executors",
    ),
]
OtherExecutors = Annotated[
    list[str] | None,
    Option(
        "--executor",
        help="Use another executor of the site file in place of one of the job. Repeatable.",
        metavar="NAME=OTHER",
        complete="complete_executors",
    ),
]
Trust = Annotated[
    bool,
    Option(
        "--trust",
        help="Run the job's commands although another user made the job or can write to the ledger.",
    ),
]
Replies = Annotated[
    Path | None,
    Option(
        help="A file of recorded replies. Default: NAME.replay.yaml beside NAME.yaml.",
        metavar="FILE",
    ),
]
JobReplies = Annotated[
    Path | None,
    Option(
        help="A file of recorded replies. Default: the recorded replies that the job has.",
        metavar="FILE",
    ),
]
Only = Annotated[
    str | None,
    Option(
        help="Run only these steps and the steps that they need; other steps stay pending.",
        metavar="STEP[,STEP]",
        complete="complete_listed_steps",
    ),
]
Until = Annotated[
    str | None,
    Option(
        help="Run only these steps and the steps that they need.",
        metavar="STEP[,STEP]",
        complete="complete_spec_steps",
    ),
]
SpecDir = Annotated[
    Path | None,
    Option(
        "--spec-dir",
        help="Where the folder of the job's spec is now, if it was moved without the ledger.",
        metavar="DIR",
    ),
]
OutputDir = Annotated[
    Path | None,
    Option(
        help="Copy the job's outputs to this folder instead of the spec's output_dir.",
        metavar="DIR",
    ),
]
StepsAgain = Annotated[
    list[str],
    Option(
        "--step",
        help="A step to run again; can be repeated.",
        metavar="STEP",
        complete="complete_steps",
    ),
]
FromStep = Annotated[
    str | None,
    Option(
        "--from",
        help="Run this step and all its dependents again.",
        metavar="STEP",
        complete="complete_steps",
    ),
]
StepFilter = Annotated[
    str | None,
    Option("--step", help="Only events of this step.", metavar="STEP", complete="complete_steps"),
]
At = Annotated[
    int | None,
    Option(
        "--at",
        help="Show the job as it was after this event.",
        metavar="VERSION",
        min=1,
        max=NUMBER_MAX,
    ),
]
Inputs = Annotated[
    list[str] | None,
    Option(
        "--input",
        "-i",
        help="A value for an input of the spec; can be repeated.",
        metavar="KEY=VALUE",
    ),
]
InputsFile = Annotated[
    Path | None,
    Option(
        "--inputs", help="A YAML or JSON file of inputs; -i overrides its values.", metavar="FILE"
    ),
]
Provider = Annotated[
    str | None,
    Option(
        "--provider",
        "-p",
        help="Use this provider instead of the spec's: NAME or NAME/MODEL.",
        metavar="NAME",
        complete="complete_providers",
    ),
]
Model = Annotated[
    str | None,
    Option(
        "--model",
        "-m",
        help="Use this model instead of the spec's.",
        metavar="NAME",
        complete="complete_models",
    ),
]
StrictRun = Annotated[
    bool,
    Option(
        help="Refuse parameters that a provider does not support; fail steps whose patterns of "
        "files match nothing; exit 1 if a step with continue_on_error failed, or if a reply is empty, "
        "only reasoning, or ended for an unknown reason."
    ),
]
Strict = Annotated[bool, Option(help="Exit 1 if a step with continue_on_error failed.")]
Full = Annotated[bool, Option("--full", help="Print texts and lists in full.")]
Follow = Annotated[
    bool, Option("--follow", "-f", help="Wait for more and print it, until the job stops.")
]
TargetFile = Annotated[Path, Argument(help="The file to write; - is stdout.", metavar="FILE")]
ReplaceFile = Annotated[bool, Option("--force", help="Replace an existing file.")]
Yes = Annotated[
    bool,
    Option("--yes", help="Remove the bytes; without it, only show what would be removed."),
]
Reason = Annotated[
    str | None, Option(help="The reason, kept in the event of the removal.", metavar="TEXT")
]
ReviewStep = Annotated[
    str | None,
    Argument(
        help="The step that waits for the decision. Without it, the open questions are shown in full.",
        metavar="STEP",
        complete="complete_asking_steps",
    ),
]
Tags = Annotated[
    list[str] | None,
    Option(
        "--tag",
        help="A tag for the job, beside those of the spec; can be repeated.",
        metavar="TAG",
        complete="complete_tags",
    ),
]
TagFilter = Annotated[
    str | None,
    Option("--tag", help="Only jobs with this tag.", metavar="TAG", complete="complete_tags"),
]
ThenResume = Annotated[
    bool,
    Option("--resume", help="Then continue the job here, unless a process runs it."),
]
Comment = Annotated[str | None, Option(help="A comment, kept with the decision.", metavar="TEXT")]


def split_names(option: str, text: str | None) -> tuple[str, ...]:
    """The names in a comma-separated list, each once. Raises UsageProblem for a list without any."""
    if text is None:
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageProblem(f"{option} {text}: must be a name, or a list of names such as a,b")
    return names


def refuse_ignored(options: Mapping[str, object], *, why: str) -> None:
    """Raise UsageProblem for an option that was given but has no effect, because of `why`."""
    for option, value in options.items():
        if value not in (None, False) and value != [] and value != ():
            raise UsageProblem(f"{option} has no effect: {why}; leave it out")


def target_file(path: Path, *, as_json: bool) -> Path:
    """The file to write; for `-` stdout, to which --json prints: then raises UsageProblem."""
    target = without_dash(path, "/dev/stdout")
    if as_json and target is not path:
        raise UsageProblem("- and --json both write to stdout; name a file")
    return target


def parse_executors(given: list[str] | None) -> dict[str, str]:
    """Executors by step, and by "" for all steps. Raises UsageProblem."""
    found: dict[str, str] = {}
    for text in given or ():
        step, equals, name = text.rpartition("=")
        if not name or (equals and not step):
            raise UsageProblem(f"--executor {text}: must be NAME, or STEP=NAME for one step")
        found[step] = name
    return found


def parse_other_executors(given: list[str] | None) -> dict[str, str]:
    """Executors of the site file by the name of the job's executor. Raises UsageProblem."""
    found = parse_executors(given)
    if "" in found:
        raise UsageProblem(
            f"--executor {found['']}: must be NAME=OTHER; a resumed job keeps its executors, and OTHER "
            "takes the place of NAME"
        )
    for name, other in found.items():
        if other == "local":
            raise UsageProblem(
                f"--executor {name}=local: this machine takes no other executor's place; write "
                "`executor: local` in the spec, and resume the job with --spec"
            )
    return found


def parse_since(text: str | None, *, now: datetime | None = None) -> str | None:
    """A time as UTC text in the form of recorded times; None for None.

    A duration (`30m`, `2d`) counts back from `now`, by default the current time. A date or a time
    is UTC unless it names a time zone. Raises UsageProblem.
    """
    if text is None:
        return None
    # Imported here, since most commands are given no time.
    from orc.scheduler.core.durations import parse_duration

    try:
        moment = (now or datetime.now(UTC)) - timedelta(seconds=parse_duration(text))
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise UsageProblem(
                f"--since {text!r} must be a duration, such as 30m or 2d, or a date, such as "
                "2026-11-01"
            ) from None
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    try:
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (OverflowError, ValueError):
        raise UsageProblem(
            f"--since {text!r}: the date is out of range; name a later one"
        ) from None
