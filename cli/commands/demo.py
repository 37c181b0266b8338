"""`orc demo`: runs the example on recorded replies."""

from __future__ import annotations

from pathlib import Path

from orc.cli.jobs.prepare import Submission
from orc.cli.opening import find_places
from orc.cli.options import (
    Database,
    Json,
    Quiet,
    RunsDir,
)
from orc.cli.terminal.foreground import run_in_foreground
from orc.cli.terminal.text import say
from orc.ledger.definition import REPLAY


def command(
    database: Database = None,
    runs_dir: RunsDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Run the example offline, on recorded replies."""
    spec = example_spec()
    places = find_places(database, runs_dir)
    say(f"$ orc run {spec.name} --provider {REPLAY}", quiet=quiet)
    submission = Submission(path=spec, provider=REPLAY)
    code = run_in_foreground(submission, places, quiet=quiet, as_json=as_json)
    if code == 0 and not quiet:
        say()
        say("Look next:")
        say("  orc show latest          the steps, and what they used")
        say("  orc show latest --files  the files, and which step wrote each")
        say("  orc tail latest          every event")
        say("  orc browse               the ledger in Datasette")
    return code


def example_spec() -> Path:
    """The example; `cli/examples` is a link to the repository's folder of that name."""
    return Path(__file__).parents[1] / "examples" / "tiny_spec.yaml"
