"""The typer application: a group that imports a command only when it is requested."""

from __future__ import annotations

import typer

from orc.cli.command_table import ABOUT
from orc.cli.lazy_group import LazyGroup

app = typer.Typer(
    name="orc",
    cls=LazyGroup,
    help=ABOUT,
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
