"""A typer group that starts fast: it imports a command, and pydantic, only when they are needed.

It reads the command lines that `cli/plain_line.py` leaves to it: those that ask for help, and
those with an error. Typer builds every command of a group at start, which would
import the modules of all commands.
Typer also converts every value through pydantic, even defaults. Loading pydantic takes as long as
loading typer, so that `orc list` would take twice as long to start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from orc.cli.call import call_command
from orc.cli.command_table import ALIASES, COMMANDS, GROUPS, load_function, other_word
from orc.cli.errors import UsageProblem
from orc.cli.parameters import MINUS, Declared, Option, bare_type, read_parameters
from orc.ledger.files.written_paths import written_path
from orc.ledger.wording import number_text

_TAKES_MINUS = ("tag",)
"""The commands whose arguments may begin with a dash, as in `orc tag JOB -old`."""
_REMOVED = re.compile(r"-(?![hq]\Z)[A-Za-z0-9_]\S*")
_MAY_BE_EMPTY = ("comment", "reason")


class PlainCommand(TyperCommand):
    """A command that does not convert defaults, texts and paths; typer converts the rest."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Replace the conversion of all parameters (also of `--help`), then parse."""
        _convert_lazily(self.get_params(ctx))
        if self.name in _TAKES_MINUS:
            args = [f"{MINUS}{arg[1:]}" if _REMOVED.fullmatch(arg) else arg for arg in args]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line: typer would put braces and second brackets around what has a name."""
        return ["[OPTIONS]", *argument_words(self.params)]

    def invoke(self, ctx: Any) -> Any:
        """Run the command. An unexpected error of a damaged ledger becomes CorruptLedger."""
        return call_command(lambda: super(PlainCommand, self).invoke(ctx), ctx.params)


def argument_words(params: Iterable[Any]) -> list[str]:
    """The arguments of a command as they are written: `JOB`, and `[STEP]` if it may be left out."""
    arguments = [param for param in params if param.param_type_name == "argument"]
    return [str(one.metavar) if one.required else f"[{one.metavar}]" for one in arguments]


class LazyGroup(TyperGroup):
    """The group of all commands in the table. Help and suggestions read only the table."""

    def __init__(self, **attributes: Any) -> None:
        attributes["commands"] = None
        super().__init__(**attributes)
        self.commands = _LazyCommands()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Do the same as `PlainCommand.parse_args`, for the options before a command."""
        _convert_lazily(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of the first word; for one of another tool, name that of orc."""
        meant = other_word(args[0]) if args else ""
        if meant:
            ctx.fail(f"No such command {args[0]!r}. In orc this is `{meant}`.")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands in `orc --help`: by purpose, and so short that they fit on one screen."""
        formatter.write_paragraph()
        name_chars = max(map(len, COMMANDS))
        for purpose, group in GROUPS.items():
            formatter.write(f"{purpose}:\n")
            with formatter.indentation():
                rows = [(name, COMMANDS[name]) for name in group.first]
                rows.append(("also".ljust(name_chars), ", ".join(group.others)))
                formatter.write_dl(rows)
        formatter.write("\n`orc COMMAND -h` explains a command.\n")


class _LazyCommands(MutableMapping[str, Any]):
    """All commands by name; each is built at its first access."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = _build_command(name)
        return self._built[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        del self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*COMMANDS, *ALIASES))

    def __len__(self) -> int:
        return len(COMMANDS) + len(ALIASES)


def _build_command(name: str) -> Any:
    """The command as typer builds it from its function. Raises KeyError for an unknown name."""
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    function = _declared_for_typer(load_function(name))
    alone.command(name, cls=PlainCommand, hidden=name in ALIASES)(function)
    return get_command(alone)


def _declared_for_typer(function: Callable[..., int]) -> Callable[..., int]:
    """The same function, with its options and arguments declared as typer reads them."""

    @wraps(function)
    def command(**values: Any) -> int:
        return function(**values)

    declared = read_parameters(function)
    parameters = [
        parameter.replace(
            annotation=Annotated[declared[name][0], _for_typer(declared[name][1])],
            kind=Parameter.KEYWORD_ONLY,
        )
        for name, parameter in signature(function).parameters.items()
    ]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _for_typer(declared: Declared) -> Any:
    make = typer.Option if isinstance(declared, Option) else typer.Argument
    return make(*declared.names, **declared.attributes)


class _LazyConverter:
    """Converts the value of one parameter: plain types here, all others through typer."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        _refuse_empty(value, param)
        if value is None or value is param.default:
            return value
        wanted = bare_type(param.type_descriptor.annotation)
        # No option of orc has further conditions (such as `exists=True`) on a text or a path.
        if param.nargs == 1 and not param.multiple:
            if wanted is str and isinstance(value, str):
                return value
            if wanted is Path and isinstance(value, str):
                return written_path(value, of=_option_name(param))
        elif wanted == list[str] and _are_texts(value):
            return list(value)
        elif wanted == list[Path] and _are_texts(value):
            return [written_path(each) for each in value]
        param._runtime_param = None
        try:
            return param.get_runtime_param().coerce(value, param=param, ctx=ctx)
        except typer.BadParameter:
            if wanted not in (int, float):
                raise
            said = f"{_number_wanted(wanted, param)}; got {value!r}"
            raise typer.BadParameter(said, ctx=ctx, param=param) from None


def _number_wanted(kind: type, param: Any) -> str:
    """What a number must be, in the words of orc and not of pydantic."""
    least, most = (None if at is None else number_text(at) for at in (param.min, param.max))
    within = "" if least is None else f" of at least {least}"
    if most is not None:
        within = f" from {least} to {most}" if least is not None else f" of at most {most}"
    return f"must be a {'whole number' if kind is int else 'number'}{within}"


def _refuse_empty(value: Any, param: Any) -> None:
    """Raise UsageProblem for an empty text, which is mostly an unset variable of a script.

    An option would be ignored, or mean the current folder. A comment or a reason may be empty.
    """
    given = value if isinstance(value, list | tuple) else (value,)
    if "" in given and param.name not in _MAY_BE_EMPTY:
        name = param.opts[0] if param.param_type_name == "option" else param.metavar
        raise UsageProblem(f"{name}: an empty text was given; name a value, or leave it out")


def _option_name(param: Any) -> str:
    """The name of an option in messages; empty for an argument."""
    return next((name for name in param.opts if name.startswith("--")), "")


def _are_texts(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)


def _convert_lazily(params: list[Any]) -> None:
    for param in params:
        # Typer sets this private attribute at its first use. If a later version renames it, this
        # assignment has no effect, and commands only start more slowly.
        param._runtime_param = _LazyConverter()
