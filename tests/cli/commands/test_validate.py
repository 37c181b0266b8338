"""An invalid spec is refused with its line, column and reason, before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command_line import EXAMPLES, PASSING, Said, orc, write

BAD = Path(__file__).parents[1] / "specs" / "bad"
# For each file in specs/bad, the expected problems: line:column, and words of the message.
EXPECTED = {
    "absolute_path": [
        "3:28 steps.a.files[0] must be relative",
        "4:28 steps.b.files[0] must be relative",
    ],
    "bad_duration": ["2:10 timeout soon 15m", "4:29 steps.a.timeout", "5:37 retry.initial"],
    "bad_env": ["2:7 env.A-B not a valid name of a variable", "3:32 steps.a.env"],
    "bad_flow": [
        "2:24 budget.max_cost_usd number",
        "4:7 steps.a.for_each list expression",
        "5:7 steps.b.as for_each",
        "6:22 steps.c.as 'steps' is a reserved name",
        "7:15 steps.d.matrix at least 1",
        "8:13 steps.e.loop.max_iterations required",
        "9:30 steps.f.loop.max_iterations 1",
        "10:15 steps.g.steps.a rename",
        "10:41 steps.g.steps.h.value 'zz'",
        "11:14 steps.h.steps at least 1",
        "12:11 steps.i.if expression",
        "13:11 steps.j.if success() always()",
        "14:14 steps.k.value calls",
        "15:7 steps.l.approval 'yes please' option",
        "15:7 on_timeout 'no'",
        "16:20 steps.m.retry approval",
        "17:17 steps.n.workflow nope.yaml",
        "18:26 steps.o.steps.x.value itself",
        "19:47 steps.p.value 'loop'",
        "20:48 steps.q.needs 'g/h'",
        "21:14 steps.r.value 'x'",
        "22:46 steps.s.steps.t.loop workflow",
        "23:30 steps.u.steps.v.as 'item' another name",
        "24:11 steps.w.if itself",
    ],
    "bad_function": ["2:21 steps.a.python module:function os.system"],
    "bad_id": ["3:3 '1st' step id letters", "4:3 'a/b' step id"],
    "bad_limits": [
        "2:1 limits is a key of steps `defaults: {limits: ...}`",
        "3:12 keep_work 'sometimes' always, failed",
        "4:35 defaults.limits.output_bytes 1000, 64K, 2M or 8GiB",
        "6:40 steps.a.limits.log_bytes 268,435,456",
        "7:41 steps.b.limits.file_bytes at least one byte",
        "7:58 steps.b.limits.output_bytes 67,108,864",
        "8:29 steps.c.limits.size unknown key",
        "8:50 steps.c.limits.file_bytes size",
        "9:31 steps.d.workspace may have the letters",
        "10:17 steps.e.workspace run python",
        "11:25 steps.f.workspace run python",
        "12:25 steps.g.limits run",
        "13:34 steps.h.limits run",
        "14:31 steps.j.workspace text true",
        "15:20 steps.k.workspace `tools`",
    ],
    "bad_project": ["1:10 project may have the letters"],
    "bad_output": [
        "3:50 steps.a.output.schema not a valid JSON Schema objekt",
        "4:28 steps.b.output.schema format: json",
        "5:50 steps.c.output.schema https://example.org only references within the schema",
        "6:51 steps.d.output.repair prompts only",
        "7:50 steps.e.output.repair -1",
        "8:50 steps.f.output.schema #/nope not in the schema",
    ],
    "bad_secrets": [
        "2:11 secrets[0] MODE is in both `env` and `secrets`",
        "2:17 secrets[1] not a valid name of a variable",
        "2:22 secrets[2] every command gets this variable",
        "5:20 steps.a.cache cannot use the cache",
        "6:22 steps.b.secrets a prompt without `tools` has neither",
        "7:26 steps.c.secrets[0] TOKEN is in both `env`",
        "8:12 steps.d 'TOKEN' is a secret read $TOKEN in the command",
        "9:33 steps.e.secrets[1] listed twice",
        "10:17 steps.f.secrets allowed in a step with",
        "11:14 steps.g 'KEPT_ONE' is a secret",
    ],
    "bad_targets": [
        "2:11 base_url http://localhost:8080/v1",
        "3:12 'opnai' 'openai'",
        "4:68 rate.openai.requests_per_min 0",
        "4:71 rate.openai.calls unknown key",
        "5:8 cache 'global' ledger",
        "6:10 params.tempature 'temperature'",
        "6:32 params.openai mapping",
        "6:53 params.reasoning_effort 'hardest' low",
        "8:46 base_url mlx has no server",
        "9:49 steps.b.fallback[0].url base_url",
        "10:29 base_url password environment",
        "11:29 base_url not a valid URL",
    ],
    "bad_tools": [
        "6:9 steps.a.tools[0] module:function",
        "7:9 steps.a.tools[1] `name` `python` only",
        "8:9 steps.a.tools[2] `allow` run_command",
        "9:9 steps.a.tools[3] parameters type: object",
        "10:9 steps.a.tools[4] 'count' tools[0] `name`",
        "11:9 steps.a.tools[5] either",
        "12:9 steps.a.tools[6] either",
        "13:19 steps.b.max_turns `tools`",
        "14:20 steps.c.tools prompt",
        "15:27 steps.d.tools[0] 'read_files' 'read_file'",
        "16:48 steps.e.tools[0].descripton 'description'",
    ],
    "broken": ["3:1 not valid YAML"],
    "cycle": ["3:3 a -> c -> b -> a"],
    "deep_nesting": ["4:73 nested more than 64"],
    "blank_model": [
        "2:8 model spaces around it",
        "3:19 defaults.model spaces around it",
        "4:67 servers.s.model spaces around it ' m'",
        r"6:26 steps.a.model spaces around it 'm\n'",
        "6:70 steps.a.fallback[0].model spaces around it",
        "8:30 steps.c.fallback[0] spaces around it",
        "7:29 steps.b.provider spaces around it",
    ],
    "duplicate_key": ["4:3 duplicate key 'a'"],
    "empty": ["1:1 project task_description"],
    "hyphen": ["4:14 steps['first-draft']"],
    "ids_differ_by_case": ["4:3 steps.Build 'build' case"],
    "list": ["1:1 mapping"],
    "merge_key": ["5:5 merge keys"],
    "no_kind": ["3:3 steps.a exactly one none"],
    "no_project": ["1:1 project required"],
    "no_steps": ["2:8 steps at least one"],
    "no_task": ["1:1 task_description required"],
    "not_supported_yet": [
        "2:1 tools not supported yet",
        "4:20 steps.a.template not supported yet",
        "5:19 steps.c.idempotent not supported yet",
    ],
    "not_utf8": ["2:22 not UTF-8"],
    "one_path_twice": ["4:28 'x.txt' already written by step 'a'"],
    "path_escapes": [
        "3:28 '../up.txt' would leave the output folder",
        "4:28 'a/../../up.txt' would leave the output folder",
        "5:28 '../*' would leave the output folder",
    ],
    "recursive_alias": ["3:6 alias *all"],
    "self_need": ["3:3 a -> a"],
    "single_quotes": ["6:1 steps.b.run single quotes double quotes"],
    "shared_paths": [
        "4:40 steps.b.steps.c.files[0] 'out/x.txt' already written by step 'a'",
        "8:13 steps.d.files[0] 'each.txt' each item of 'd' template",
        "11:47 steps.e.steps.f.files[1] 'one.log' each item of 'e'",
        "12:49 steps.g.files[0] 'm.txt' each item of 'g'",
        "13:28 steps.h.files[0] 'OUT/X.txt' conflicts with 'out/x.txt', which step",
        "14:25 steps.k.files[0] 'out' conflicts with",
        "15:42 steps.i.files[1] 'two.txt' already written by step 'i'",
    ],
    "strange_paths": [r"3:28 a\x1b[2Jb not allowed", "4:28 con.txt reserved", "5:28 empty"],
    "tab": ["3:1 not valid YAML"],
    "tag": ["3:14 tags are not allowed os.system"],
    "template_errors": [
        "3:14 steps.a.value '}}'",
        "4:14 steps.b.value expected '}}'",
        "5:14 steps.c.value function calls are not allowed",
        "6:14 steps.d.value literal step id",
    ],
    "text": ["1:1 mapping"],
    "two_documents": ["2:1 one YAML document"],
    "two_kinds": ["3:3 steps.a exactly one prompt and run"],
    "unknown_job_key": ["2:1 concurency did you mean 'concurrency'?"],
    "unknown_key": ["5:5 steps.a.nedes did you mean 'needs'?"],
    "unknown_need": ["4:17 steps.test.needs 'biuld' did you mean 'build'?"],
    "unknown_provider": ["2:11 provider 'olama' did you mean 'ollama'?"],
    "unknown_rate": ["2:18 rate 'antropic' 'anthropic'"],
    "unknown_reference": [
        "4:14 'topik' did you mean 'topic'?",
        "5:14 no step 'c'",
        "6:14 output, status, error, files, attempts 'result'",
        "7:14 there is no 'nothing'",
    ],
    "wrong_default": ["3:35 inputs.count.default integer", "4:41 'small', 'large'"],
    "wrong_types": [
        "2:14 concurrency mapping 'many'",
        "3:12 timeout_s number 'yes please'",
        "5:12 steps.a.run text list mapping",
        "6:39 continue_on_error true or false 1",
        "7:41 params.temperature number 'hot'",
        "7:53 params.top_p 7",
    ],
    "yaml_bomb": ["6:38 aliases 10000"],
}


def test_the_table_of_expectations_has_every_bad_spec() -> None:
    assert {path.stem for path in BAD.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_validate_says_where_and_why_a_spec_is_bad(name: str) -> None:
    path = BAD / f"{name}.yaml"
    said = orc("validate", path)

    assert_refused(said)
    for expected in EXPECTED[name]:
        place, *words = expected.split(" ")
        of_place = [line for line in said.err.splitlines() if line.startswith(f"{path}:{place}: ")]
        assert any(all(word in line for word in words) for line in of_place), (
            expected,
            said.err,
        )


NEEDS = """\
project: x
inputs:
  topic: {required: true, description: what to write about}
  rows: {type: table}
  prov: {}
  wait: {type: string, enum: [5s, 1m]}
provider: ${{ inputs.prov }}
timeout: ${{ inputs.wait }}
steps:
  each:
    for_each: ${{ inputs.rows }}
    key: ${{ item.id }}
    value: ${{ inputs.topic }}
    files: [{path: "${{ item.id }}.txt"}]
  ask: {prompt: "${{ inputs.topic }}", model: "${{ inputs.prov }}", timeout: "${{ inputs.wait }}"}
"""


def test_a_spec_is_checked_without_the_values_of_its_inputs() -> None:
    good = write("good.yaml", NEEDS)
    bad = write("bad.yaml", NEEDS + "  more: {value: '${{ inputs.topik }}'}\n")

    said = orc("validate", good)
    given = orc("validate", good, "-i", "topic=seas", "-i", "wait=5s", "--json")
    wrong = orc("validate", good, "-i", "wait=2h")
    refused = orc("validate", bad)

    assert (said.code, said.out) == (0, "")
    assert said.err.splitlines() == [
        "good.yaml: valid, 2 steps",
        "good.yaml: a run needs values for topic, rows, prov, wait; what depends on them was not "
        "checked: give them with -i NAME=VALUE",
    ]
    assert given.code == 0
    assert (given.json()["valid"], given.json()["missing_inputs"]) == (True, ["rows", "prov"])
    assert_refused(wrong)
    assert "inputs.wait: must be one of '5s', '1m'; got '2h'" in wrong.err
    assert_refused(refused)
    assert "a value is required" not in refused.err
    assert "topik" in refused.err
    for command in ("run", "plan", "submit"):
        assert_refused(orc(command, good))
        assert "give it with -i topic=VALUE" in orc(command, good).err


def test_a_complete_spec_has_no_missing_inputs() -> None:
    assert orc("validate", "--json", write("spec.yaml", PASSING)).json()["missing_inputs"] == []


@pytest.mark.parametrize("name", EXPECTED)
def test_run_refuses_a_bad_spec_and_makes_no_ledger(name: str, here: Path) -> None:
    said = orc("run", BAD / f"{name}.yaml")

    assert_refused(said)
    assert f"{name}.yaml" in said.err
    assert list(here.iterdir()) == []


def test_validate_json_has_the_places_as_numbers() -> None:
    said = orc("validate", "--json", BAD / "not_utf8.yaml", write("good.yaml", PASSING))

    assert said.code == 2
    bad, good = said.lines()
    message = "not UTF-8 text; save the file as UTF-8"
    assert bad["problems"] == [{"line": 2, "column": 22, "message": message}]
    assert (bad["valid"], good["valid"], good["problems"]) == (False, True, [])
    assert said.err == ""


def test_validate_names_each_good_spec() -> None:
    said = orc("validate", write("one.yaml", PASSING), write("two.yaml", PASSING))

    assert said.code == 0
    assert said.err.splitlines() == ["one.yaml: valid, 2 steps", "two.yaml: valid, 2 steps"]


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_spec_that_cannot_be_read_is_named(command: str, here: Path) -> None:
    (here / "folder").mkdir()
    for path, reason in (("missing.yaml", "No such file"), ("folder", "Is a directory")):
        said = orc(command, path)
        assert_refused(said)
        assert path in said.err
        assert reason in said.err
    assert [path.name for path in here.iterdir()] == ["folder"]


def test_inputs_are_checked_against_their_declaration() -> None:
    spec = write(
        "spec.yaml",
        """\
project: x
inputs:
  count: {type: integer}
  size: {enum: [small, large], default: small}
steps: {a: {value: "${{ inputs.count }} ${{ inputs.size }}"}}
""",
    )

    wrong_type = orc("run", spec, "-i", "count=many")
    not_allowed = orc("run", spec, "-i", "count=1", "-i", "size=huge")
    unknown = orc("run", spec, "-i", "count=1", "-i", "sise=small")
    without_value = orc("run", spec, "-i", "count")

    for said in (wrong_type, not_allowed, unknown, without_value):
        assert_refused(said)
    assert "inputs.count: must be of type integer; got 'many'" in wrong_type.err
    assert "inputs.size: must be one of 'small', 'large'; got 'huge'" in not_allowed.err
    assert "inputs.sise: the spec has no such input; did you mean 'size'?" in unknown.err
    assert "KEY=VALUE; got 'count'" in without_value.err


def test_a_blank_model_of_the_caller_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = write("spec.yaml", "project: x\nprovider: openai\nsteps: {a: {prompt: hi}}\n")
    for options in (("--model", " "), ("-p", "openai/ ")):
        said = orc("run", spec, *options)
        assert_refused(said)
        assert "the name of the model must have no spaces around it; got ' '" in said.err
    monkeypatch.setenv("OPENAI_MODEL", " ")
    assert_refused(orc("validate", spec))


def test_an_invalid_number_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_RETRIES", "lots")
    said = orc("run", write("spec.yaml", "project: x\nsteps: {a: {prompt: hi}}\n"))

    assert_refused(said)
    assert "MAX_RETRIES must be a whole number from 0 to 1,000" in said.err


def assert_refused(said: Said) -> None:
    assert said.code == 2, said
    assert said.out == ""
    assert "Traceback" not in said.err
    assert "\x1b" not in said.err


UNSEEN = """\
project: x
steps:
  build: {run: "echo 1 > app.js", files: [app.js]}
  other: {run: "cat app.js"}
  group:
    steps:
      inner: {run: [cat, app.js]}
      fine: {needs: inner, python: "m:f", args: {files: [[app.js]]}}
  after: {needs: build, run: "cat app.js my-app.js"}
  behind: {needs: after, run: "cat app.js"}
"""


def test_a_step_that_names_a_file_that_it_will_not_get_is_a_warning() -> None:
    spec = write("spec.yaml", UNSEEN)
    messages = [
        "step 'other' names app.js, a file of step 'build', which it does not depend on; add "
        "`needs: [build]` to bring it",
        "step 'group/inner' names app.js, a file of step 'build', which it does not depend on; add "
        "`needs: [build]` to step 'group' to bring it",
        "step 'group/fine' names app.js, a file of step 'build', which it does not depend on; add "
        "`needs: [build]` to step 'group' to bring it",
    ]

    said = orc("validate", spec)
    as_json = orc("validate", "--json", spec)

    assert (said.code, said.out) == (0, "")
    assert said.err.splitlines() == [
        "spec.yaml: valid, 5 steps",
        *(f"spec.yaml: warning: {message}" for message in messages),
    ]
    assert as_json.code == 0
    [found] = as_json.lines()
    assert (found["valid"], found["problems"], found["warnings"]) == (True, [], messages)


def test_a_spec_without_such_a_step_has_no_warnings() -> None:
    said = orc("validate", "--json", write("spec.yaml", PASSING), BAD / "text.yaml")

    assert [found["warnings"] for found in said.lines()] == [[], []]


def test_a_workflow_that_writes_a_path_of_the_spec_around_it_is_refused() -> None:
    write("inner.yaml", "project: y\nsteps: {w: {value: 1, files: [{path: out.txt}]}}\n")
    spec = write(
        "spec.yaml",
        """\
project: x
steps:
  a: {value: 1, files: [{path: out.txt}]}
  b: {workflow: inner.yaml}
""",
    )

    said = orc("validate", spec)

    assert_refused(said)
    assert "spec.yaml:4:17: steps.b.workflow: 'out.txt' is already written by step 'a'" in said.err
    assert "(step" not in said.err


def test_a_template_of_another_form_is_a_warning_in_each_key_with_templates() -> None:
    text = """project: p
provider: openai/gpt-5
steps:
  a: {model: "{{ m }}", prompt: hi, fallback: ["openai/{{ f }}"], params: {stop: ["{{ s }}"]}}
  b: {prompt: hi, tools: [{builtin: run_command, allow: ["{{ t }}"]}]}
  c: {prompt: hi, output: {format: json, schema: {type: object, description: "{{ d }}"}}}
  e: {for_each: [1], key: "x {{ k }}", value: 1, score: {x: {value: "${{ 1 }}", why: "{{ w }}"}}}
"""
    warnings = orc("validate", write("spec.yaml", text), "--json").json()["warnings"]
    told = [" ".join(found.split()[:3]) for found in warnings]
    assert told == [
        "step 'a': model:",
        "step 'a': params:",
        "step 'a': fallback:",
        "step 'b': tools:",
        "step 'c': output:",
        "step 'e': key:",
        "step 'e': score:",
    ]
    assert "{{ m }} is plain text here; a template is written ${{ m }}" in warnings[0]


def test_validate_warns_of_a_variable_that_no_shell_reads(here: Path) -> None:
    text = """\
project: words
steps:
  a: {run: [cat, "${ORC_SPEC_DIR}/a", "$ORC_WORK_DIR/b"]}
  b: {run: [sh, -c, '$ORC_SPEC_DIR/a.sh']}
  c: {run: 'cat "$ORC_SPEC_DIR/a"'}
  d: {run: [echo, "costs $ORC_X"]}
"""
    assert orc("validate", write("spec.yaml", text), "--json").json()["warnings"] == [
        "step 'a': run: ${ORC_SPEC_DIR} is not replaced in a list of words, which no shell reads; "
        "write the command as a text, or start it where the file is with `cwd`"
    ]


@pytest.mark.parametrize("key", ["prompt", "system"])
def test_a_template_in_the_path_of_a_text_is_refused_as_one(key: str) -> None:
    keys = {"prompt": "hi", key: {"file": "${{ project }}.md"}}
    said = orc("validate", write("spec.yaml", json.dumps({"project": "p", "steps": {"a": keys}})))
    assert said.code == 2
    assert f"steps.a.{key}.file: `${{{{ }}}}` is not rendered here" in said.err + said.out
    assert "home folder" not in said.err + said.out


@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        ("inputs.n = 3", "; to compare, write `==`"),
        ("inputs.n == 3 && true", "; in place of `&&`, write `and`"),
        ("inputs.n || true", "; in place of `||`, write `or`"),
        ("!inputs.n", "; in place of `!`, write `not`"),
        ("inputs.n === 3", "; in place of `===`, write `==`"),
        ("inputs.n !== 3", "; in place of `!==`, write `!=`"),
        ("inputs.n <> 3", "; in place of `<>`, write `!=`"),
        ("inputs.n ? 1 : 2", "; in place of `?`, write `... if ... else ...`"),
        ("inputs.n == '&&' '", "(line 1 of the text)"),
        ("${{ inputs.n }} == 3", "leave the braces out, or put ${{ }} around the whole"),
        ("inputs.n == null", "there is no 'null'; write `none`"),
        ("success", "there is no 'success'; write `success()`"),
        ("params.n == 3", "there is no 'params'; write `inputs`"),
    ],
)
def test_an_expression_of_another_language_is_told_with_that_of_orc(
    condition: str, hint: str
) -> None:
    steps = {"a": {"if": condition, "value": 1}}
    inputs = {"n": {"type": "integer", "default": 1}}
    spec = write("spec.yaml", json.dumps({"project": "p", "inputs": inputs, "steps": steps}))
    [problem] = orc("validate", spec, "--json").json()["problems"]
    assert hint in problem["message"]
    assert hint.startswith(";") or "in place of" not in problem["message"]


def test_a_name_in_other_letters_is_told_with_the_one_that_there_is() -> None:
    spec = write("spec.yaml", "project: p\nprovider: OpenAI\nsteps: {a: {prompt: hi}}\n")
    assert "did you mean 'openai'?" in orc("validate", spec).err


def test_the_examples_are_valid_specs() -> None:
    specs = [path for path in EXAMPLES.glob("*.yaml") if ".replay." not in path.name]

    assert orc("validate", *specs).code == 0
    assert json.loads(orc("validate", "--json", specs[0]).out)["valid"] is True
