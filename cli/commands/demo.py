"""`orc demo`: runs the example from recorded replies."""

from __future__ import annotations

from pathlib import Path

from orc.cli.jobs.prepare import Submission
from orc.cli.ledger_access import find_places
from orc.cli.options import Database, Json, Quiet, RunsDir
from orc.cli.terminal.foreground import run_in_foreground
from orc.cli.terminal.text import say
from orc.ledger.definition import REPLAY


def command(
    database: Database = None,
    runs_dir: RunsDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Run the example offline, from recorded replies."""
    spec = example_spec()
    places = find_places(database, runs_dir)
    say(f"$ orc run {spec.name} --provider {REPLAY}", quiet=quiet)
    submission = Submission(path=spec, provider=REPLAY)
    code = run_in_foreground(submission, places, quiet=quiet, as_json=as_json)
    if code == 0 and not quiet:
        say()
        say("Next:")
        say("  orc show latest          the steps, with time, tokens and cost")
        say("  orc show latest --files  the files, with the step that wrote each")
        say("  orc tail latest          all events of the job")
        say("  orc browse               the ledger in a web browser")
    return code


def example_spec() -> Path:
    """The example's spec. `cli/examples` is a symbolic link to the repository's `examples/`."""
    return Path(__file__).parents[1] / "examples" / "tiny_spec.yaml"
