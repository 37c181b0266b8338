"""A typer command that loads pydantic only for typed values that are no plain text or path.

Typer converts every value through pydantic, defaults included, and pydantic
takes as long to load as typer itself: `orc list` would start half as fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from typer.core import TyperCommand, TyperGroup


class LeanCommand(TyperCommand):
    """Leaves defaults as they are; converts the rest as typer does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Called once the command has all its parameters, those of the help included."""
        _convert_when_typed(self.get_params(ctx))
        return super().parse_args(ctx, args)


class LeanGroup(TyperGroup):
    """The same for the options before a command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Called once the command has all its parameters, those of the help included."""
        _convert_when_typed(self.get_params(ctx))
        return super().parse_args(ctx, args)


class _WhenTyped:
    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None or value is param.default:
            return value
        wanted = _plain_type(param.type_descriptor.annotation)
        # No option of ours asks more of a text or a path than to be one.
        if param.nargs == 1 and not param.multiple:
            if wanted in (str, Path) and isinstance(value, str):
                return wanted(value)
        elif param.nargs == 1 and wanted == list[str] and _are_texts(value):
            return list(value)
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def _are_texts(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)


def _plain_type(annotation: Any) -> Any:
    """The type of an option, `| None` taken off."""
    types = [kind for kind in get_args(annotation) if kind is not type(None)]
    return types[0] if len(types) == 1 else annotation


def _convert_when_typed(params: list[Any]) -> None:
    for param in params:
        # Typer fills this attribute at first use. Should a later version call it
        # otherwise, this does nothing, and commands start more slowly.
        param._runtime_param = _WhenTyped()
