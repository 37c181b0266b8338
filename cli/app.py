"""The typer application: every command by name. The commands import what costs when they run."""

from __future__ import annotations

import typer

from orc.cli.commands import (
    ask,
    browse,
    chaos,
    decide,
    export,
    follow,
    graph,
    init,
    keep,
    listing,
    look,
    maintain,
    plan,
    replay,
    reuse,
    run,
    search,
    specs,
)
from orc.cli.typer_commands import LeanCommand, LeanGroup

app = typer.Typer(
    name="orc",
    cls=LeanGroup,
    help="Run model pipelines from a YAML file; resume them after any crash; browse them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", "-V", help="Print the version and exit."),
) -> None:
    if version:
        from orc.about import version as installed

        typer.echo(f"orc {installed()}")
        raise typer.Exit


for _name, _function in (
    ("run", run.run),
    ("resume", run.resume),
    ("rerun", reuse.rerun),
    ("fork", reuse.fork),
    ("cancel", run.cancel),
    ("approve", decide.approve),
    ("reject", decide.reject),
    ("replay", replay.replay),
    ("demo", run.demo),
    ("init", init.init),
    ("list", listing.list_jobs),
    ("show", look.show),
    ("blame", ask.blame),
    ("why", ask.why),
    ("diff", ask.diff),
    ("cost", ask.cost),
    ("tail", follow.tail),
    ("logs", follow.logs),
    ("search", search.search),
    ("validate", specs.validate),
    ("plan", plan.plan),
    ("graph", graph.graph),
    ("schema", specs.schema),
    ("verify", maintain.verify),
    ("rebuild", maintain.rebuild),
    ("export", export.export),
    ("bundle", keep.bundle),
    ("import", keep.import_),
    ("backup", keep.backup),
    ("prune", keep.prune),
    ("redact", keep.redact),
    ("browse", browse.browse),
    ("doctor", maintain.doctor),
    ("chaos", chaos.chaos),
):
    app.command(_name, cls=LeanCommand)(_function)
app.command("list-runs", cls=LeanCommand, hidden=True)(listing.list_jobs)
