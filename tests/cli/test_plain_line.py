"""A plain command line is read as typer reads it; every other line is left to typer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest

from orc.cli import completion, lazy_group
from orc.cli.command_table import ALIASES, COMMANDS, load_function
from orc.cli.parameters import Argument, Declared, Option, bare_type, read_parameters
from orc.cli.plain_line import read_plain_line

SAMPLES: dict[Any, str] = {str: "some-text", Path: "~/some/path", int: "7"}


def read_by_typer(words: list[str], patches: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments with which typer calls the function of a command."""
    called: list[dict[str, Any]] = []

    def load(name: str) -> Callable[..., int]:
        function = load_function(name)

        @wraps(function)
        def note(**arguments: Any) -> int:
            called.append(arguments)
            return 0

        return note

    patches.setattr(lazy_group, "load_function", load)
    command = lazy_group._build_command(words[0])
    command.main(args=words[1:], prog_name="orc", standalone_mode=False)
    (arguments,) = called
    return arguments


def plain_lines() -> Iterator[list[str]]:
    """For each command: its arguments alone, and with each of its options."""
    for command in (*COMMANDS, *ALIASES):
        function = load_function(command)
        declared = read_parameters(function)
        arguments = {
            name: bare_type(hint)
            for name, (hint, each) in declared.items()
            if isinstance(each, Argument)
        }
        needed = [SAMPLES[_item(kind)] for kind in arguments.values()]
        needed += ["another"] * any(get_origin(kind) is list for kind in arguments.values())
        yield [command, *needed]
        for name, (hint, option) in declared.items():
            if isinstance(option, Option) and option.callback is None:
                yield from ([command, *needed, *words] for words in _given(name, hint, option))


def _given(name: str, hint: Any, option: Declared) -> Iterator[list[str]]:
    kind = bare_type(hint)
    own = name.replace("_", "-")
    names = option.names or ((f"--{own}", f"--no-{own}") if kind is bool else (f"--{own}",))
    sample = SAMPLES.get(_item(kind))
    for each in (part for shown in names for part in shown.split("/")):
        if kind is bool:
            yield [each]
        elif sample is not None:
            yield [each, sample]
            if each.startswith("--"):
                yield [f"{each}={sample}"]
            if get_origin(kind) is list:
                yield [each, sample, each, "a=b"]


def _item(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is list else kind


def test_a_plain_line_is_read_as_typer_reads_it(
    monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    read = 0
    for words in plain_lines():
        with subtests.test(" ".join(words)):
            plain = read_plain_line(words)
            if plain is None:
                # A required option is missing, or both ways refuse the line.
                continue
            read += 1
            assert plain[1] == read_by_typer(words, monkeypatch)
    assert read > 300


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_plain_lines(command: str) -> None:
    lines = [words for words in plain_lines() if words[0] == command]
    assert any(map(read_plain_line, lines))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--version",
        "--help",
        "nonsense",
        "list --help",
        "list -h",
        "list --nonsense",
        "list -n 0",
        "list -n -1",
        "list -n x",
        "list -n 99999999999",
        "list -n=5",
        "list -n5",
        "list -n 5 -n 6",
        "list --json --json",
        "list --json=yes",
        "list --db",
        "list --db --json",
        "list --db=",
        "list --",
        "list job",
        "run",
        "run -q",
        "run a.yaml b.yaml",
        "run a.yaml -qi a=1",
        "run a.yaml --env-file keys.env",
        "tag job_1 -old",
        "rerun job_1",
        "scores --tolerance 0.5",
    ],
)
def test_a_line_that_is_not_plain_is_left_to_typer(line: str) -> None:
    assert read_plain_line(line.split()) is None


@pytest.mark.parametrize("word", ["", "\udcff", "a\nb", "a\x1b[0m"])
def test_a_word_with_unusual_characters_is_left_to_typer(word: str) -> None:
    assert read_plain_line(["show", word]) is None


def test_a_list_that_is_a_default_is_copied() -> None:
    plain = [read_plain_line(["cluster", "worker", "gpu"]) for _ in range(2)]
    (first, second) = (read[1]["label"] for read in plain if read is not None)
    assert first == second
    assert first is not second


def test_each_source_of_words_for_completion_exists() -> None:
    for command in COMMANDS:
        for _, declared in read_parameters(load_function(command)).values():
            if isinstance(declared.complete, str):
                assert callable(getattr(completion, declared.complete)), command
