"""The part with every command of `orc`."""

from __future__ import annotations

from typing import Any

from doc_parts.markup import table


def render_commands() -> str:
    """Every command, with its arguments and options as the command line declares them."""
    from typer.main import get_command

    from orc.cli.app import app
    from orc.cli.lazy_group import argument_words

    root: Any = get_command(app)
    shown = {name: command for name, command in root.commands.items() if not command.hidden}
    parts = []
    for name, command in shown.items():
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
        usage = " ".join(["orc", name, *argument_words(command.params), "[OPTIONS]"])
        rows = [(f"`{p.metavar}`", str(p.help or "")) for p in arguments]
        rows += [(_option_names(p), str(p.help or "") + _default(p)) for p in options]
        parts.append(f"### {name}\n\n`{usage}`\n\n{command.help}\n\n{table(('', ''), rows)}")
    hidden = [name for name, command in root.commands.items() if command.hidden]
    parts.append(f"Other names of commands: {', '.join(f'`{name}`' for name in hidden)}.")
    return "\n\n".join(parts)


def _option_names(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    takes_value = not option.is_flag
    return f"{names} {option.metavar or 'VALUE'}" if takes_value else names


def _default(option: Any) -> str:
    is_shown = isinstance(option.default, int | str) and not isinstance(option.default, bool)
    return f" Default: {option.default}." if is_shown else ""
