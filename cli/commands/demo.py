"""`orc demo`: runs the example from recorded replies."""

from __future__ import annotations

from pathlib import Path

from orc.cli.ledger_access import find_places
from orc.cli.options import Database, Json, Quiet, RunsDir
from orc.cli.terminal.text import say
from orc.ledger.command_lines import command_line
from orc.ledger.files.written_paths import current_folder

_RECORDED = """\
The replies are recorded ones: no model was called, and nothing was paid. The cost is what
the recorded token counts would have cost with gpt-4o-mini."""


def command(
    database: Database = None,
    runs_dir: RunsDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Run the example offline, from recorded replies."""
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.prepare import Submission
    from orc.cli.terminal.foreground import run_in_foreground
    from orc.ledger.definition import REPLAY

    spec = example_spec()
    places = find_places(database, runs_dir)
    here = current_folder()
    shown = spec.relative_to(here) if here is not None and spec.is_relative_to(here) else spec
    say(f"$ {command_line('run', shown, '--provider', REPLAY)}", quiet=quiet)
    submission = Submission(path=spec, provider=REPLAY)
    code = run_in_foreground(submission, places, quiet=quiet, as_json=as_json)
    if code == 0 and not quiet:
        say()
        say(_RECORDED)
        say()
        say("Next:")
        commands = {
            ("show", "latest"): "the steps, with time, tokens and cost",
            ("show", "latest", "--files"): "the files, with the step that wrote each",
            ("tail", "latest"): "all events of the job",
            ("browse",): "the ledger in a web browser",
        }
        lines = {command_line(*words): about for words, about in commands.items()}
        width = max(map(len, lines))
        for line, about in lines.items():
            say(f"  {line.ljust(width)}  {about}")
    return code


def example_spec() -> Path:
    """The example's spec. `cli/examples` is a symbolic link to the repository's `examples/`."""
    return Path(__file__).parents[1] / "examples" / "tiny_spec.yaml"
