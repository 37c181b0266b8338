"""Words what is wrong with a call of a tool: its name, or its arguments."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from orc.ledger.command_lines import quoted_command
from orc.ledger.digest import clean_text
from orc.ledger.wording import number_text, visible

_SPECS, _ACTIONS = ("--specs", "DIR"), ("--allow-actions",)
_NEEDS = {
    "plan": _SPECS,
    "validate": _SPECS,
    "run": (*_SPECS, *_ACTIONS),
    "resume": _ACTIONS,
    "approve": _ACTIONS,
    "reject": _ACTIONS,
}
"""The options of the command without which a tool is not there."""

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "string": "a text",
    "dict": "an object of names and values",
    "bool": "true or false",
}
_CHARS_MAX = 60


def tools_left_out(offered: Collection[str]) -> str:
    """The tools that a server does not have, and the options that add them; empty if it has all."""
    by_options: dict[str, list[str]] = {}
    for name, options in _NEEDS.items():
        if name not in offered:
            by_options.setdefault(" ".join(options), []).append(name)
    return "; ".join(
        f"{', '.join(names)} (with {options})" for options, names in by_options.items()
    )


def unknown_tool(name: str, offered: Collection[str]) -> str:
    """Why there is no such tool, and what to do."""
    if name in _NEEDS:
        return (
            f"this server has no tool {name}: the person who set it up has not allowed it. They start "
            f"it with {quoted_command('mcp', *_NEEDS[name])}"
        )
    return f"there is no tool {_short(name)}; this server has {', '.join(sorted(offered))}"


def wrong_arguments(
    tool: str, schema: Mapping[str, Any], given: Mapping[str, Any], error: ValidationError | None
) -> str:
    """What is wrong with the arguments, and which the tool has; empty if nothing is."""
    known = schema.get("properties", {})
    problems = [f"it has no argument {_short(name)}" for name in given if name not in known]
    problems += [f"{name} {why}" for name, value in given.items() if (why := _not_text(value))]
    problems += [] if error is None else list(_problems(error, known))
    if not problems:
        return ""
    required = schema.get("required", [])
    optional = [name for name in known if name not in required]
    named = [f"needs {', '.join(required)}"] if required else []
    named += [f"may have {', '.join(optional)}"] if optional else []
    return f"{tool}: {'; '.join(dict.fromkeys(problems))}. The tool {' and '.join(named)}"


def _not_text(value: object) -> str:
    """Why a text, or a text in an object, cannot be passed to a command; empty if it can."""
    texts = value.values() if isinstance(value, dict) else [value]
    for text in texts:
        if isinstance(text, str) and ("\0" in text or clean_text(text) != text):
            return f"has a character that no text here can have: {ascii(text)[:_CHARS_MAX]}"
    return ""


def _problems(error: ValidationError, known: Mapping[str, Any]) -> Iterator[str]:
    named = set()
    for problem in error.errors(include_url=False, include_input=True):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if name in named:
            # The other types that the argument could have.
            continue
        named.add(name)
        if problem["type"] == "missing":
            about = str(known.get(name, {}).get("description", "")).rstrip(".")
            yield f"{name} is missing" + (f" ({about[:1].lower()}{about[1:]})" if about else "")
        else:
            yield f"{name} must be {_wanted(problem)}, and is {_short(problem.get('input'))}"


def _wanted(problem: Mapping[str, Any]) -> str:
    limits = problem.get("ctx", {})
    if problem["type"] == "literal_error":
        return str(limits.get("expected", "")).replace("'", "")
    for key, word in (("ge", "at least"), ("le", "at most")):
        if key in limits:
            return f"{word} {number_text(limits[key])}"
    return _TYPES.get(problem["type"].partition("_")[0], "of another type")


def _short(value: object) -> str:
    text = visible(repr(value))
    return text if len(text) <= _CHARS_MAX else f"{text[: _CHARS_MAX - 3]}..."
