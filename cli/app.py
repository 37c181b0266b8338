"""The typer application: every command by name. The commands import what costs when they run."""

from __future__ import annotations

import typer

from cli.commands import look, maintain, run, specs

app = typer.Typer(
    name="orc",
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
        from cli.main import version as installed

        typer.echo(f"orc {installed()}")
        raise typer.Exit


app.command("run")(run.run)
app.command("resume")(run.resume)
app.command("cancel")(run.cancel)
app.command("demo")(run.demo)
app.command("list")(look.list_jobs)
app.command("list-runs", hidden=True)(look.list_jobs)
app.command("show")(look.show)
app.command("tail")(look.tail)
app.command("validate")(specs.validate)
app.command("graph")(specs.graph)
app.command("schema")(specs.schema)
app.command("verify")(maintain.verify)
app.command("rebuild")(maintain.rebuild)
app.command("export")(maintain.export)
app.command("browse")(maintain.browse)
app.command("doctor")(maintain.doctor)
