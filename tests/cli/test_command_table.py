"""The table of commands: `orc --help` reads only this table, and its texts equal the commands' help."""

from __future__ import annotations

import subprocess
import sys
from keyword import iskeyword
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from orc.cli.app import app
from orc.cli.command_table import (
    _OTHER_WORDS,
    ALIASES,
    COMMANDS,
    GROUPS,
    load_function,
    module_name,
)
from tests.cli.command_line import orc
from tests.each_case import each_case


@each_case("name", COMMANDS)
def test_a_line_of_the_table_is_the_first_line_of_the_commands_help(name: str) -> None:
    root: Any = get_command(app)
    command = root.commands[name]
    assert command.help.splitlines()[0] == COMMANDS[name]
    assert command.name == name
    assert not command.hidden


def test_an_alias_is_the_command_that_it_means_and_no_help_shows_it() -> None:
    root: Any = get_command(app)
    assert set(root.commands) == {*COMMANDS, *ALIASES}
    for alias, name in ALIASES.items():
        assert load_function(alias) is load_function(name)
        assert root.commands[alias].hidden
        assert alias not in orc("--help").out


def test_only_a_keyword_has_a_module_of_another_name() -> None:
    others = {name for name in COMMANDS if module_name(name) != f"orc.cli.commands.{name}"}
    assert others == {name for name in COMMANDS if iskeyword(name)} == {"import"}


def test_an_unknown_name_has_no_function() -> None:
    with pytest.raises(KeyError, match="nope"):
        load_function("nope")


@pytest.mark.parametrize(
    ("typed", "meant"), [("lst", "list"), ("resum", "resume"), ("diif", "diff")]
)
def test_a_misspelt_command_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    said = orc(typed)
    assert said.code == 2
    assert f"Did you mean {meant!r}" in said.err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ps", "list"),
        ("retry", "resume"),
        ("version", "--version"),
        ("events", "show JOB --events"),
    ],
)
def test_a_command_of_other_tools_is_answered_with_that_of_orc(typed: str, meant: str) -> None:
    said = orc(typed, "latest")
    assert said.code == 2
    assert f"No such command {typed!r}. In orc this is `orc {meant}`." in said.err


def test_the_commands_of_other_tools_are_none_of_orc() -> None:
    words = [word for found in _OTHER_WORDS.values() for word in found.split()]
    assert len(words) == len(set(words))
    assert not set(words) & {*COMMANDS, *ALIASES}
    assert {meant.split()[1] for meant in _OTHER_WORDS} <= {*COMMANDS, "--version", "--help"}


def test_a_name_that_is_like_no_command_is_refused_without_a_guess() -> None:
    said = orc("qqqqqq")
    assert said.code == 2
    assert "No such command 'qqqqqq'" in said.err
    assert "Did you mean" not in said.err


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    [(["--help"], set()), (["nope"], set()), (["list", "--help"], {"list"})],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_only_the_command_that_is_asked_for_is_loaded(
    arguments: list[str], loaded: set[str]
) -> None:
    program = (
        "import sys\n"
        f"sys.argv = ['orc', *{arguments!r}]\n"
        "from orc.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in sys.modules if name.startswith('orc.cli.commands.')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    expected = [f"orc.cli.commands.{name}" for name in loaded]
    assert done.stdout.splitlines()[-1] == str(expected)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("run",),
        ("run", "a.yaml", "b.yaml"),
        ("run", "a.yaml", "--nonsense"),
        ("list", "-n", "0"),
        ("list", "-n", "x"),
        ("validate",),
    ],
    ids=" ".join,
)
def test_a_misspelt_command_line_ends_with_2_and_a_pointer_to_the_help(
    arguments: tuple[str, ...], here: Path
) -> None:
    said = orc(*arguments)

    assert said.code == 2
    assert said.out == ""
    assert "-h' for help" in said.err
    assert "Traceback" not in said.err
    assert list(here.iterdir()) == []


def test_help_names_every_command_once_on_one_screen_and_ends_with_0() -> None:
    said = orc("--help")
    lines = said.out.splitlines()
    explained = [name for group in GROUPS.values() for name in (*group.first, *group.others)]

    assert said.code == 0
    assert sorted(explained) == sorted(COMMANDS)
    for purpose, group in GROUPS.items():
        below = lines[lines.index(f"{purpose}:") + 1 :][: len(group.first) + 1]
        assert [line.split()[0] for line in below] == [*group.first, "also"]
        assert below[-1].split(maxsplit=1)[1] == ", ".join(group.others)
    assert "list-runs" not in said.out
    assert max(map(len, lines)) <= 80
    assert len(lines) < 40
    assert orc("run", "-h").code == 0
    assert orc("--version").out.startswith("orc ")
    assert orc().code == 2


def test_the_usage_line_of_each_command_names_its_arguments_once() -> None:
    root: Any = get_command(app)
    for name, command in root.commands.items():
        usage = " ".join(command.collect_usage_pieces(None))
        assert not set("{}") & set(usage), f"{name}: {usage}"
        assert "[[" not in usage, f"{name}: {usage}"
        for param in command.params:
            if param.param_type_name == "argument":
                assert usage.count(f"[{param.metavar}]") == (not param.required), f"{name}: {usage}"
