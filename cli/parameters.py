"""Declares the options and arguments of a command: `Annotated[int, Option("--limit", help="...")]`.

Both ways to read a command line take them from here: `cli/plain_line.py` those of most commands that
are given, and typer, through `cli/lazy_group.py`, all others. Typer is not imported here, since it
takes longer to load than `orc list` takes to run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

MINUS = "\N{MINUS SIGN}"
"""Stands for a dash at the beginning of an argument, as in `orc tag JOB -old`, that is no option."""

Words = str | Callable[[], list[str]]
"""Where completion (`cli/complete_line.py`) finds words: a function of `cli/completion.py` by name, or
one without arguments."""


class Declared:
    """What an option and an argument declare; each has the meaning that it has in typer."""

    __slots__ = ("attributes", "callback", "complete", "maximum", "metavar", "minimum", "names")

    def __init__(
        self,
        *names: str,
        help: str | None = None,  # noqa: A002  # typer's word
        metavar: str | None = None,
        complete: Words | None = None,
        callback: Callable[[Any], Any] | None = None,
        min: float | None = None,  # noqa: A002  # typer's word
        max: float | None = None,  # noqa: A002  # typer's word
        **others: bool,
    ) -> None:
        self.names = names
        self.metavar = metavar
        self.complete = complete
        self.callback = callback
        self.minimum, self.maximum = min, max
        self.attributes: dict[str, Any] = {
            "help": help,
            "metavar": metavar,
            "callback": callback,
            "min": min,
            "max": max,
            **others,
        }
        """All but the names and completion, as typer takes them. Typer completes nothing."""


class Option(Declared):
    """An option. Without names it is called as its parameter; of a flag there is also `--no-NAME`."""

    __slots__ = ()


class Argument(Declared):
    """An argument, by position."""

    __slots__ = ()


@cache
def read_parameters(function: Callable[..., Any]) -> Mapping[str, tuple[Any, Declared]]:
    """The type and the declaration of each parameter of a command's function, in their order."""
    hints = get_type_hints(function, include_extras=True)
    del hints["return"]
    return {name: (hint.__origin__, hint.__metadata__[0]) for name, hint in hints.items()}


def bare_type(hint: Any) -> Any:
    """The type of a parameter without `| None`."""
    types = [kind for kind in get_args(hint) if kind is not type(None)]
    return hint if get_origin(hint) is list or len(types) != 1 else types[0]
