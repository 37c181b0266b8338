"""Each problem of a spec has its line and column, begins with its key, and says what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import orc
from tests.cli.command_line import work_in, write

SPECS: dict[str, str] = yaml.safe_load(Path(__file__).with_name("messages.yaml").read_text("utf-8"))
PLACE = re.compile(r"[a-z_]+(?:\.[^.:\[\]]+|\[[0-9]+\])*: ")
"""A key of a spec, as each message begins: `steps.a.files[0]: `."""
REMEDY = re.compile(
    r"; |\bmust\b|\bmay have\b|\bis allowed (?:with|in|for)\b|\bis required\b|\buse \b|\bis empty\b|"
    r"\bneeds\b|\bonly\b|\bis `total`|\bdid you mean\b|\bknown: "
)
"""How a message says what to do: after a semicolon, or by what must stand there."""
WITHOUT_PLACE = ("servers.h.key: must be the name of an environment variable",)
"""The line would be printed, and may have a key."""
BY_ITSELF = (
    "not a valid expression: unexpected '}}'",
    "has no file that matches",
    "would leave the folder of the spec",
    "no value can meet it: `minimum` is 3 and `maximum` is 1",
    "is not a valid JSON Schema: ",
    "must be the name",
    "a workflow cannot contain itself",
)
"""What is wrong says what to do."""


@pytest.fixture(scope="module")
def found(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, list[tuple[int, str]]]:
    """The problems of each spec: lines and messages."""
    with pytest.MonkeyPatch.context() as patches:
        work_in(tmp_path_factory.mktemp("messages"), patches)
        patches.setenv("OPENAI_API_KEY", "key-0123456789abcdef")
        write("t.csv", "a,b\n1,2\n")
        paths = [write(f"{name}.yaml", text) for name, text in SPECS.items()]
        return {
            path.stem: [(one.line, one.message) for one in orc.validate(path)] for path in paths
        }


def test_each_problem_has_a_place_and_begins_with_its_key(
    found: dict[str, list[tuple[int, str]]],
) -> None:
    wrong = [
        (name, line, message)
        for name, problems in found.items()
        for line, message in problems
        if not PLACE.match(message) or not (line or message.startswith(WITHOUT_PLACE))
    ]
    assert wrong == []
    assert sum(map(len, found.values())) > 150


def test_each_problem_says_what_to_do(found: dict[str, list[tuple[int, str]]]) -> None:
    silent = [
        (name, message)
        for name, problems in found.items()
        for _, message in problems
        if not REMEDY.search(message.partition(": ")[2])
        and not any(said in message for said in BY_ITSELF)
    ]
    assert silent == []


def test_a_wrong_value_inside_is_one_problem(found: dict[str, list[tuple[int, str]]]) -> None:
    about = [message for _, message in found["servers"] if message.startswith("servers.i.")]
    assert about == [
        "servers.i.prices.m.input: must be at least 0; got -1",
        "servers.i.prices.m.batch: must be a mapping; got 0.5",
    ]


def test_a_problem_of_the_provider_of_all_steps_is_reported_once_and_where_it_is_named(
    found: dict[str, list[tuple[int, str]]],
) -> None:
    [(line, message)] = found["provider_of_all"]
    assert (line, message.partition(":")[0]) == (2, "provider")
    assert "'xai' has no default model" in message
    [(line, message)] = found["provider_defaults"]
    assert (line, message.partition(":")[0]) == (2, "defaults.provider")
