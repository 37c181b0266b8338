"""What can never hold or never happen is refused, where the spec shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from orc.cli.jobs.prepare import Submission, prepare
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.spec.schema_sense import impossible_part
from tests.each_case import each_case

STEP = "steps: {a: {%s}}"
INPUT = "inputs: {n: {%s}}\nsteps: {a: {value: 1}}"
SCHEMA = "steps: {a: {prompt: x, output: {format: json, schema: {%s}}}}"
COMPARED = """inputs: {n: {enum: [a, b], required: false}, free: {default: x}}
steps:
  a: {value: 1}
  gate: {approval: {message: x, options: [ship, hold]}}
  many: {for_each: [1], approval: {message: x, options: [ship, hold]}}
  b: {if: "%s", value: 1}"""
LISTED = """inputs:
  n: {type: integer, default: 2}
  t: {default: x}
  l: {type: list, default: []}
  o: {type: object, default: {}}
steps:
  r: {run: echo}
  j: {run: echo, output: {format: json}}
  v: {value: [1]}
  e: {for_each: [1], value: 1}
  a: {%s, value: 1}"""
NEVER = {
    LISTED % "for_each: '${{ inputs.n }}'": "for_each: ${{ inputs.n }}: must be a list, but 'inputs.n' "
    "is a number; write `... | range` to count, or give the input `type: list`",
    LISTED % "for_each: '${{ steps.r.output }}'": "must be a list, but 'steps.r.output' is a text; "
    "write `... | lines`",
    LISTED % "for_each: '${{ steps.j.output | trim }}'": "must be a list, but this is a text",
    LISTED % "matrix: {b: [1], c: '${{ inputs.o }}'}": "matrix.c: ${{ inputs.o }}: must be a list",
    LISTED % "for_each: '${{ 5 }}'": "must be a list, but this is a number",
    INPUT % "enum: [2023, 2024]": "inputs.n.enum[0]: must be of type string; got 2023; put it in "
    "quotes, or write `type: integer`",
    INPUT % "enum: [true]": "put it in quotes, or write `type: boolean`",
    INPUT % "type: integer, enum: [1, '2']": "inputs.n.enum[1]: must be of type integer; got '2'",
    INPUT % "type: list, enum: [a]": "inputs.n.enum[0]: must be of type list; got 'a'",
    INPUT % "enum: []": "inputs.n.enum: must have at least 1",
    INPUT % "enum: [a, b], default: c": "must be one of 'a', 'b'; got 'c'",
    INPUT % "default: 1": "inputs.n.default: must be of type string; got 1",
    INPUT % "type: boolean, default: 'true'": "must be of type boolean; got 'true'",
    INPUT % "default: null": "write `required: false` in its place",
    "inputs: {con: {type: files}}\n" + STEP % "value: 1": "inputs.con: 'con': the file name is reserved",
    f"inputs: {{{'n' * 201}: {{type: table}}}}\n" + STEP % "value: 1": "has more than 200 bytes",
    INPUT % "required: true, default: x": "is never used, since the input has `required: true`",
    STEP % "run: x, retry: {initial: 10s, max: 1s}": "steps.a.retry: the first wait, 10 s, is longer "
    "than `max`, 1 s",
    "defaults: {retry: {initial: 2m, max: 1m}}\n" + STEP % "run: x": "defaults.retry: the first wait",
    STEP % "run: x, timeout: 2m, total_timeout: 1m": "steps.a.timeout: 2 m 00 s is never reached, since "
    "`total_timeout` is 1 m 00 s",
    "defaults: {timeout: 2m}\n" + STEP % "run: x, total_timeout: 1m": "steps.a.total_timeout: is "
    "shorter than `timeout`, 2 m",
    "defaults: {timeout: 2m, total_timeout: 1m}\n" + STEP % "run: x": "defaults.timeout: 2 m 00 s is",
    STEP % "prompt: x, timeout: 2m, attempt_timeout: 1m": "steps.a.timeout: 2 m 00 s is never reached, "
    "since `attempt_timeout` is 1 m 00 s",
    STEP % "prompt: x, attempt_timeout: 2m, total_timeout: 1m": "steps.a.attempt_timeout: 2 m 00 s is "
    "never reached, since `total_timeout` is 1 m 00 s",
    "defaults: {timeout: 2m}\n" + STEP % "prompt: x, attempt_timeout: 1m": "steps.a.attempt_timeout: is "
    "shorter than `timeout`, 2 m",
    STEP % "run: x, attempt_timeout: 1m": "attempt_timeout",
    STEP % "run: x, queue_timeout: 2m, total_timeout: 1m": "steps.a.queue_timeout: 2 m 00 s is never",
    STEP % "run: x, retry: 2, retry_on: [rate_limit]": "a step of kind run never fails with",
    STEP % "value: 1, retry: 2, retry_on: [auth]": "a step of kind value never fails with 'auth'",
    STEP % "prompt: x, retry: 2, retry_on: [timeout, exit_code]": "kind prompt never fails with "
    "'exit_code'",
    STEP % "run: x, loop: {max_iterations: 0}": "steps.a.loop.max_iterations",
    STEP % "run: x, loop: {max_iterations: 2, on_exhausted: fail}": "is allowed with `until` only",
    STEP % "run: x, loop: {max_iterations: 2, on_exhausted: fail, until: false}": "always fails",
    STEP % "for_each: [1, 2], key: same, value: 1": "is the same for each item",
    STEP % "matrix: {b: [1, 2]}, key: same, value: 1": "is the same for each item",
    STEP % "for_each: [1], max_parallel: 0, value: 1": "max_parallel",
    STEP % "approval: {message: x, options: [reject]}": "has only `reject`",
    STEP % "approval: {message: x, options: []}": "options: must have at least 1",
    STEP % "approval: {message: x, options: ['1st']}": "starting with a letter or _",
    STEP % "approval: {message: x, options: [a], on_timeout: b, timeout: 1h}": "must be one of a",
    STEP % "approval: {message: x, on_timeout: approve}": "on_timeout: is allowed with `timeout` only",
    "concurrency: 0\n" + STEP % "run: x": "concurrency",
    "concurrency: {ollama: 0}\n" + STEP % "run: x": "concurrency.ollama",
    "rate: {ollama: {requests_per_min: 0}}\n" + STEP % "run: x": "rate.ollama.requests_per_min",
    "budget: {max_tokens: 100}\n" + STEP % "prompt: x, params: {max_tokens: 100}": "steps.a: may "
    "never call its model",
    STEP % "budget: {max_tokens: 9}, steps: {b: {prompt: x, params: {max_tokens: 10}}}": "steps.b: may "
    "never call its model",
    COMPARED % "steps.a.status == 'success'": "${{ steps.a.status == 'success' }}: the status of 'a' "
    "is never 'success'; did you mean 'succeeded'?",
    COMPARED % "'ok' != steps['a'].status": "the status of 'a' is never 'ok'; known: ",
    COMPARED % "not (steps.gate.output.decision == 'approve' and true)": "the decision of 'gate' is "
    "never 'approve'; known: hold, ship",
    COMPARED % "inputs.n == 'c'": "the input 'n' is never 'c'",
    COMPARED % "inputs.free == true": "'inputs.free' is a text and never true; write `... == 'true'`",
    COMPARED % "project != 3": "'project' is a text and never 3; put the number in quotes",
    LISTED % "if: 'false == steps.r.output'": "'steps.r.output' is a text and never false",
    LISTED % """if: 'inputs.n == "2"'""": "'inputs.n' is a number and never '2'",
    "inputs: {f: {type: boolean, default: false}}\n" + STEP % """value: 1, if: "inputs.f == 'true'" """:
    "the input 'f', a boolean, is never 'true'",
    STEP % "prompt: ' '": "steps.a.prompt: is empty",
    STEP % "prompt: {file: empty.md}": "prompt.file: empty.md is empty",
    STEP % "prompt: x, provider: ''": "steps.a.provider: is empty",
    STEP % "prompt: x, model: ''": "steps.a.model: is empty",
    STEP % "prompt: x, params: {stop: ['']}": "steps.a.params.stop[0]: is empty",
    STEP % "prompt: x, tools: [{builtin: run_command, allow: []}]": "allow: must have at least 1",
    STEP % "messages: [{role: user, content: []}]": "content",
    STEP % "approval: ''": "steps.a.approval: is empty",
    STEP % "run: ['', a]": "steps.a.run: is empty",
    STEP % "workflow: ''": "steps.a.workflow: is empty",
    "output_dir: ''\n" + STEP % "run: x": "output_dir: is empty",
    SCHEMA % "type: string, enum: [1]": "no value can meet it: no value of `enum` fits the rest",
    SCHEMA % "type: object, properties: {b: {type: integer, const: x}}": "b: no value of `const`",
    SCHEMA % "type: integer, minimum: 5, maximum: 4": "`minimum` is 5 and `maximum` is 4",
    SCHEMA % "type: array, items: {minLength: 2, maxLength: 1}": "items: `minLength` is 2",
    SCHEMA % "type: object, required: [b], additionalProperties: false": "'b' is required, and no",
    SCHEMA % "type: object, required: [b], properties: {b: false}": "'b' is required, and no",
    SCHEMA % "enum: []": "no value can meet it: `enum` has no value",
}  # fmt: skip
"""The message for each spec."""

MAY_BE = [
    LISTED % "for_each: '${{ inputs.l }}', max_parallel: '${{ inputs.n }}'",
    LISTED % "for_each: '${{ steps.j.output }}'",
    LISTED % "for_each: '${{ steps.v.output }}'",
    LISTED % "for_each: '${{ steps.e.output }}'",
    LISTED % "for_each: '${{ steps.r.output | lines }}'",
    LISTED % "for_each: ['${{ inputs.t }}']",
    LISTED % "matrix: {max_parallel: ['${{ inputs.n }}', '${{ inputs.t }}']}",
    LISTED % "if: true" + "\n  matrix: {for_each: [1], max_parallel: '${{ inputs.n }}', value: 1}",
    INPUT % "type: integer, enum: [2023, 2024], default: 2024",
    INPUT % "type: number, enum: [1, 2.5]",
    INPUT % "required: false, enum: [a]",
    INPUT % "required: true",
    f"inputs: {{con: {{default: x}}, {'n' * 201}: {{default: x}}}}\n" + STEP % "value: 1",
    STEP % "run: x, retry: {initial: 2m, max: 2m}",
    STEP % "run: x, retry: {initial: 2m}",
    STEP % "run: x, timeout: 1m, total_timeout: 1m",
    "defaults: {timeout: 2m}\n" + STEP % "run: x, timeout: 10s, total_timeout: 1m",
    STEP % "prompt: x, total_timeout: 60s",
    "defaults: {attempt_timeout: 1m}\n" + STEP % "run: x, timeout: 2m",
    STEP % "prompt: x, tools: [read_file], retry_on: [exit_code]",
    "defaults: {retry_on: [rate_limit, exit_code]}\n" + STEP % "run: x, retry: 2",
    STEP % "run: x, loop: {max_iterations: 2, until: false}",
    STEP % "run: x, if: false",
    STEP % "for_each: [], value: 1",
    STEP % "for_each: [1], key: same, value: 1",
    STEP % "approval: {message: x, options: [ship, hold]}",
    "budget: {max_tokens: 0}\n" + STEP % "prompt: x, params: {max_tokens: 10}",
    "budget: {max_calls: 0}\n" + STEP % "prompt: x",
    STEP % "prompt: x, system: ''",
    STEP % "prompt: '${{ project }}'",
    COMPARED % "steps.a.status == 'failed' or steps.a.status != 'cancelled'",
    COMPARED % "steps.gate.output.decision == 'ship'",
    COMPARED % "steps.gate.output.comment == 'approve'",
    COMPARED % "inputs.n == 'a' and inputs.n != none and inputs.free == 'c'",
    COMPARED % "inputs.free == none or inputs.free == 'true' or (inputs.free | bool) == true",
    COMPARED % "(inputs.free | float) == 3 or (inputs.free | length) != 3 or steps.a.output == 3",
    LISTED % "if: 'inputs.n == 2.0 or steps.j.output == true or inputs.l == 1'",
    "inputs: {f: {type: boolean, default: false}}\n" + STEP % "value: 1, if: inputs.f == true",
    COMPARED % "steps.many.output.decision == 'x' or steps.a.output.status == 'x'",
    SCHEMA % "anyOf: [{type: string, enum: [1]}, {type: integer}]",
    SCHEMA % "type: [string, 'null'], enum: [a, null]",
    SCHEMA % "type: integer, minimum: 5, maximum: 5",
    SCHEMA % "const: null",
    SCHEMA % "type: object, required: [b]",
    SCHEMA % "type: object, properties: {b: false}",
    SCHEMA % "type: object, required: [b], properties: {b: true}, additionalProperties: false",
    SCHEMA % "$defs: {b: {type: string}}, properties: {c: {$ref: '#/$defs/b', enum: [d]}}",
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.md").write_text(" \n")


def read(keys: str, **inputs: Any) -> None:
    Path("spec.yaml").write_text(f"project: p\n{keys}\n")
    prepare(Submission(path=Path("spec.yaml"), inputs=inputs), {}, executor_names=None)


@each_case("keys", NEVER)
def test_what_can_never_hold_is_refused_where_it_stands(keys: str) -> None:
    with pytest.raises(SpecError) as refused:
        read(keys)
    assert NEVER[keys] in str(refused.value)
    assert all(found.line for found in refused.value.problems) or "budget" in keys


@each_case("keys", MAY_BE)
def test_what_may_hold_is_accepted(keys: str) -> None:
    inputs = {"n": "a"} if "required: true" in keys else {}
    inputs |= {"n": "1"} if "enum: [1, 2.5]" in keys else {}
    read(keys, **inputs)


IMPOSSIBLE = {
    "{not: {}}": "`not` excludes every value",
    "{not: true}": "`not` excludes every value",
    "{type: string, not: {type: [string, 'null']}}": "`not` excludes every value",
    "{allOf: [{type: string}, {type: integer}]}": "exclude each other",
    "{type: object, allOf: [{type: array}]}": "exclude each other",
    "{allOf: [false]}": "`not` excludes every value",
    "{allOf: [{minimum: 5}, {maximum: 3}]}": "`minimum` is 5 and `maximum` is 3",
    "{minLength: 9, allOf: [{allOf: [{maxLength: 3}]}]}": "`minLength` is 9 and `maxLength` is 3",
    "{type: integer, minimum: 1.2, maximum: 1.8}": "`minimum` is 1.2 and `maximum` is 1.8",
    "{type: integer, exclusiveMinimum: 1, exclusiveMaximum: 2}": "`exclusiveMinimum` is 1",
    "{allOf: [{enum: [a, b]}, {enum: [c]}]}": "no value of `enum` fits",
    "{const: 5, allOf: [{type: string}]}": "no value of `const` fits",
    "{type: string, const: 5}": "no value of `const` fits",
    "{properties: {a: {type: boolean, enum: [yes please]}}}": "a: no value of `enum` fits",
    "{required: [a], allOf: [{properties: {a: {not: {}}}}]}": "'a' is required",
    "{allOf: [{required: [a]}, {additionalProperties: false}]}": "'a' is required",
    "{type: array, minItems: 1, items: false}": "no item is allowed",
    "{type: array, minItems: 3, uniqueItems: true, items: {enum: [a, b, a]}}": "only 2 different",
    "{minItems: 2, uniqueItems: true, items: {const: 1}}": "only 1 different",
    "{minItems: 4, uniqueItems: true, items: {type: [boolean, 'null']}}": "only 3 different",
    "{allOf: [{minItems: 3}, {uniqueItems: true}], items: {type: boolean}}": "only 2 different",
    "{required: [a, b], maxProperties: 1}": "`maxProperties` is 1",
    "{minProperties: 2, properties: {a: true, b: false}, additionalProperties: false}": "only 1",
    "{anyOf: [false, {type: string, const: 1}]}": "no part of `anyOf`",
    "{properties: {a: {oneOf: [{not: {}}, {type: string, enum: [1]}]}}}": "a: no part of `oneOf`",
    "{items: {allOf: [{type: string}, {type: number}]}}": "items: the types",
    "{allOf: [{properties: {a: {type: string}}}, {properties: {a: {type: integer}}}]}": "a: the types",
    "{items: {type: string}, allOf: [{items: {maxLength: 1}}, {items: {minLength: 2}}]}": "items: `minL",
    "{$schema: 'https://json-schema.org/draft/2020-12/schema', type: string, const: 1}": "no value of",
}
SENSIBLE = [
    "{not: {type: string}}",
    "{type: [string, integer], not: {type: string}}",
    "{type: integer, not: {const: 1}}",
    "{properties: {a: {not: {}}}}",
    "{additionalProperties: {not: {}}}",
    "{allOf: [{type: number}, {type: integer}]}",
    "{allOf: [{type: [string, 'null']}, {type: string}]}",
    "{allOf: [true, {minimum: 3}, {maximum: 3}]}",
    "{type: number, minimum: 1.2, maximum: 1.8}",
    "{type: integer, exclusiveMinimum: 1, maximum: 2}",
    "{allOf: [{enum: [a, b]}, {enum: [b]}]}",
    "{minItems: 2, uniqueItems: true, items: {enum: [a, b]}}",
    "{minItems: 3, items: {enum: [a, b]}}",
    "{minItems: 2, uniqueItems: true, prefixItems: [{const: 1}], items: {const: 2}}",
    "{minItems: 5, uniqueItems: true, items: {type: [boolean, string]}}",
    "{items: false}",
    "{anyOf: [false, {type: string}]}",
    "{required: [a], allOf: [{properties: {a: true}, additionalProperties: false}]}",
    "{required: [a], patternProperties: {a: true}, additionalProperties: false}",
    "{type: integer, minimum: -.inf, maximum: .inf}",
    "{anyOf: [{properties: {a: {minimum: 2, maximum: 1}}}, {minLength: 2, maxLength: 1}]}",
    "{properties: {items: {type: string}}, items: {type: integer}}",
    "{allOf: [{$ref: '#/$defs/a'}, {enum: [1]}], $defs: {a: {type: integer}}}",
    "{enum: [1.0], allOf: [{type: integer}]}",
]


@each_case("schema", IMPOSSIBLE)
def test_a_schema_that_no_value_meets_is_found(schema: str) -> None:
    found = impossible_part(yaml.safe_load(schema))
    assert IMPOSSIBLE[schema] in found


@each_case("schema", SENSIBLE)
def test_a_schema_that_a_value_meets_is_accepted(schema: str) -> None:
    assert impossible_part(yaml.safe_load(schema)) == ""


def test_a_schema_with_references_or_alternatives_is_left_to_the_run() -> None:
    assert impossible_part({"$ref": "#", "enum": [1]}) == ""
    assert impossible_part({"not": {"minimum": 2, "maximum": 1}}) == ""
    assert impossible_part({"items": {"exclusiveMinimum": 1, "maximum": 1}}) != ""


@pytest.mark.parametrize(("keys", "most_s"), [("initial: 2m", 120.0), ("initial: 1s", 60.0)])
def test_a_first_wait_that_is_longer_than_the_default_of_max_is_kept(
    keys: str, most_s: float
) -> None:
    Path("spec.yaml").write_text(f"project: p\n{STEP}\n" % f"run: x, retry: {{{keys}}}")
    _, definition = prepare(Submission(path=Path("spec.yaml")), {}, executor_names=None)
    assert definition.steps[0].retry.max_s == most_s
