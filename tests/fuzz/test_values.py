"""Whatever a model, a command, a function or a caller gives, its job ends, and so does its resume."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.command_line import orc, work_in, write
from tests.scheduler.profiles import bounded

SPEC = """\
project: fuzzed
provider: replay
inputs: {given: {type: TYPE, required: false}}
defaults: {continue_on_error: true, retry: 1}
steps:
  reply: {prompt: Say it., output: {format: json}}
  said: {prompt: Say it., files: [{path: "said/${{ steps.reply.output }}.txt"}]}
  tool: {prompt: Use it., tools: [list_files], max_turns: 2}
  command: {run: 'cat "$ORC_SPEC_DIR/value.json"', output: {format: json, schema: {not: {const: 7}}}}
  function: {python: "monsters:load", args: {name: value.json}}
  passed: {python: "monsters:back", args: {x: "${{ steps.command.output }}"}}
  shown: {run: "echo ${{ steps.command.output }}", cache: job}
  words: {run: [echo, "${{ inputs.given }}"]}
  product: {value: "${{ steps.command.output * steps.function.output }}"}
  total: {value: "${{ steps.command.output + steps.reply.output }}"}
  counted: {value: "${{ (steps.said.output | int) * (steps.said.output | float) }}"}
  text: {value: "${{ steps.command.output ~ steps.said.output }}${{ steps.function.output }}"}
  wrapped: {value: [[["${{ steps.function.output }}"]], "${{ steps.reply.output | tojson }}"]}
  key: {value: "${{ {'a': 1}[steps.said.output] }}"}
  chosen: {if: "steps.command.output * steps.command.output > 0", value: 1}
  each:
    if: "always()"
    for_each: "${{ steps.command.output }}"
    value: ["${{ item }}"]
  named: {for_each: ["${{ steps.command.output }}"], as: one, key: "${{ one }}", value: 1}
  rounds:
    loop: {max_iterations: 3, until: "steps.rounds.output == steps.command.output"}
    value: ["${{ loop.previous }}", "${{ loop.previous | default(steps.function.output, true) }}"]
  group: {steps: {inner: {value: "${{ steps.command.output }}"}}}
"""
MODULE = """
import json, os, sys
def load(name):
    sys.set_int_max_str_digits(0)
    with open(os.path.join(os.environ["ORC_SPEC_DIR"], name)) as file:
        return json.load(file)
def back(x): return x
"""
LOOKS = ["show latest", "why latest product", "export latest", "tail latest", "list", "verify"]
"""Commands that read a job, in any state."""


numbers = st.one_of(
    st.integers(-3, 3).map(str),
    st.sampled_from([2**53, 2**63 - 1, 2**63, 2**64, 10**400]).map(str),
    st.sampled_from([639, 640, 2150, 2151, 4299, 4300, 4301, 20_000]).map(lambda n: "9" * n),
    st.sampled_from(["1e308", "-1e308", "1e309", "1e-400", "NaN", "Infinity", "-Infinity", "-0.0"]),
)
texts = st.one_of(
    st.text(max_size=20).map(json.dumps),
    st.sampled_from(["\\ud800", "\\u0000", "${{ x }}", "\\u202e", "9" * 5000, "a" * 70_000]).map(
        lambda text: f'"{text}"'
    ),
)
nestings = st.sampled_from([1, 60, 180, 190, 199, 200, 201, 480, 1500, 30_000]).map(
    lambda levels: "[" * levels + "]" * levels
)
values = st.recursive(
    st.one_of(st.sampled_from(["null", "true", "7", "", "{"]), numbers, texts, nestings),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(texts, inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=4,
)
"""JSON texts, and some that are none."""


def replies_to(value: str, arguments: Any) -> str:
    """A file of recorded replies with the value as a text, and as the arguments of a tool call."""
    call = {"id": value[:300], "name": "list_files", "arguments": arguments}
    replies = {
        "reply": [{"text": value}],
        "said": [{"text": value}],
        "tool": [{"tool_calls": [call], "native": arguments}, {"text": value}],
    }
    return json.dumps({"replies": replies})


def read_arguments(value: str) -> Any:
    try:
        arguments = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return arguments if isinstance(arguments, dict | str) else {"x": arguments}


def try_value(value: str) -> None:
    """Run a job on the value, resume it, and read it with every command."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patches:
        work_in(Path(folder), patches)
        patches.delenv("HOME", raising=False)
        kind = "string" if len(value) % 2 else "list"
        write("spec.yaml", SPEC.replace("TYPE", kind))
        write("monsters.py", MODULE)
        write("value.json", value)
        write("inputs.json", f'{{"given": {value}}}')
        # Inputs and replies that are not accepted are refused before there is a job.
        for arguments, options in (
            (read_arguments(value), ["--inputs", "inputs.json"]),
            (read_arguments(value), []),
            ({}, []),
        ):
            write("replies.json", replies_to(value, arguments))
            ran = orc("run", "spec.yaml", "--replies", "replies.json", *options)
            assert_plain(ran, 0, 1, 2, 7)
            if ran.code != 2:
                break
        for _ in range(2):
            assert_plain(orc("resume", "latest"), 0, 1, 2, 7)
        for command in LOOKS:
            assert_plain(orc(*command.split()), 0)


def assert_plain(said: Any, *codes: int) -> None:
    assert "Traceback" not in said.err, said.err
    assert "internal error" not in said.err, said.err
    assert said.code in codes, said.err


@pytest.mark.parametrize(
    "value",
    [
        "9" * 4300,
        "9" * 4301,
        f"[{'9' * 4300}, 1e308]",
        "[" * 190 + "]" * 190,
        "[" * 30_000 + "]" * 30_000,
        '{"a": "\\ud800", "\\ud800": NaN}',
    ],
    ids=["digits", "too many digits", "numbers", "levels", "too many levels", "odd"],
)
def test_a_monstrous_value_never_stops_a_job_from_ending(value: str) -> None:
    try_value(value)


@bounded(3)
@given(values)
def test_any_value_never_stops_a_job_from_ending(value: str) -> None:
    try_value(value)


@pytest.mark.torture
@bounded(300)
@given(values)
def test_any_value_never_stops_a_job_from_ending_for_long(value: str) -> None:
    try_value(value)
