"""Specs: all problems are reported at once with line and hint, and no other exception is raised."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orc.ledger.definition import JobDef, StepDef, dump_job, load_job
from orc.scheduler.core.durations import parse_duration
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.core.paths import path_problem
from orc.scheduler.core.resolve.job import build_job
from orc.scheduler.core.source import SIZE_MAX
from orc.scheduler.core.source.yaml_source import ALIASED_NODES_MAX, DEPTH_MAX, parse_yaml
from orc.scheduler.core.spec.model import LATER_JOB_KEYS, LATER_STEP_KEYS
from orc.scheduler.core.spec.parse import parse_spec
from tests.builders import settings, step
from tests.each_case import each_case
from tests.scheduler.profiles import bounded
from tests.strategies import GOOD_SPEC, mutated_specs

HEAD = "project: demo\n"


def problems(text: str) -> list[tuple[int, str]]:
    with pytest.raises(SpecError) as caught:
        parse_spec(text)
    return [(found.line, found.message) for found in caught.value.problems]


def resolve(text: str, **fields: object) -> JobDef:
    return build_job(text, source_name="s.yaml", settings=settings(**fields))[1]


def value_of(text: str) -> object:
    return parse_yaml(text, source_name="s.yaml").value


def refusal(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        value_of(text)
    return str(caught.value)


def silence_of(definition: JobDef) -> float:
    """For how long the server of the first step may send nothing."""
    step = definition.steps[0]
    return definition.silence_of(step, step.targets()[0])


class TestProblems:
    """The problems that are reported to the author of a spec."""

    def test_all_are_reported_at_once_in_order_with_line_and_nearest_name(self) -> None:
        text = (
            "project: demo\n"
            "modle: x\n"
            "steps:\n"
            "  one:\n"
            "    promt: hi\n"
            "  two:\n"
            "    prompt: hi\n"
            "    needs: [ones]\n"
            "  three:\n"
            "    value: ${{ steps.tow.output }}\n"
        )
        found = problems(text)
        for line, piece in (
            (2, "did you mean 'model'"),
            (5, "did you mean 'prompt'"),
            (8, "did you mean 'one'"),
            (10, "did you mean 'two'"),
        ):
            assert any(at == line and piece in message for at, message in found), (line, found)
        assert [line for line, _ in found] == sorted(line for line, _ in found)

    @pytest.mark.parametrize("key", sorted(LATER_STEP_KEYS))
    def test_a_steps_key_of_a_later_version_is_not_supported_yet(self, key: str) -> None:
        found = problems(f"{HEAD}steps:\n  a:\n    value: 1\n    {key}: 1\n")
        assert found == [(4 + 1, f"steps.a.{key}: not supported yet by this version of orc")]

    @pytest.mark.parametrize("key", sorted(LATER_JOB_KEYS))
    def test_a_jobs_key_of_a_later_version_is_not_supported_yet(self, key: str) -> None:
        found = problems(f"{HEAD}{key}: 1\nsteps: {{a: {{value: 1}}}}\n")
        assert found == [(2, f"{key}: not supported yet by this version of orc")]

    @each_case(
        "steps, piece",
        [
            ("{a: {}}", "exactly one of"),
            ("{a: {prompt: x, run: y}}", "prompt and run"),
            ("{a: {value: 1, system: x}}", "allowed in a step with prompt"),
            ("{a: {value: 1, needs: a}}", "needs have a cycle: a -> a"),
            ("{a: {value: 1, needs: b}, b: {value: 1, needs: a}}", "a -> b -> a"),
            ("{a: {value: '${{ steps.a.output }}'}}", "refers to itself"),
            (
                "{a: {value: '${{ steps.b.outptu }}'}, b: {value: 1}}",
                "the fields of a step are output",
            ),
            ("{a: {value: '${{ steps.b-c.output }}'}, b-c: {value: 1}}", "steps['b-c']"),
            ("{a: {value: '${{ inputs.x }}'}}", "no input 'x'"),
            ("{a: {value: '${{ nope }}'}}", "there is no 'nope'"),
            ("{a: {run: \"echo '${{ project }}'\"}}", "single quotes"),
            ("{a: {value: 1, files: [{path: ../x}]}}", "would leave the output folder"),
            ("{a: {value: 1, files: ['*.txt']}}", "for commands and functions only"),
            ("{a: {value: 1}, A: {value: 1}}", "by case only"),
            ("{1a: {value: 1}}", "not a valid step id"),
            ("{con: {value: 1}}", "reserved"),
            ("{a: {python: x}}", "package.module:function"),
            ("{a: {run: ''}}", "is empty"),
            ("{a: {value: 1, timeout: 0}}", "duration above zero"),
            ("{a: {value: 1, retry: 0}}", "must be at least 1; got 0"),
            ("{a: {value: 1, retry_on: [timeuot]}}", "did you mean 'timeout'"),
            ("{a: {prompt: x, params: {temprature: 1}}}", "did you mean 'temperature'"),
            ("{a: {value: 1, continue_on_error: 1}}", "true or false"),
            ("{a: {prompt: x, idempotent: false}}", "allowed in a step with run or python"),
            ("{a: {run: x, idempotent: false, on_unknown: retry}}", "means `on_unknown: ask`"),
            ("{a: {run: x, idempotent: true, on_unknown: ask}}", "means `on_unknown: retry`"),
            ("{a: {run: x, idempotent: true, on_unknown: fail}}", "means `on_unknown: retry`"),
            ("[]", "must be a mapping of step ids to steps"),
            ("{}", "at least one"),
        ],
    )
    def test_each_mistake_in_a_step_is_named(self, steps: str, piece: str) -> None:
        assert any(piece in message for _, message in problems(f"{HEAD}steps: {steps}\n"))

    @pytest.mark.parametrize(
        ("text", "piece"),
        [
            ("", "mapping"),
            ("- 1", "mapping"),
            ("steps: {a: {value: 1}}", "project: this key is required"),
            ("project: .hidden\nsteps: {a: {value: 1}}", "may have the letters"),
            ("project: demo", "task_description: required"),
            (f"{HEAD}steps: [{{id: a, value: 1}}]", "write `ID:` for each, in place of `-`"),
            (
                f"{HEAD}max_tokens: 9\nsteps: {{a: {{value: 1}}}}",
                "write `params: {max_tokens: ...}`",
            ),
            (f"{HEAD}steps: {{a: {{prompt: b, stop: c}}}}", "write `params: {stop: ...}`"),
            ("project: d\ntimeout: 1\ntimeout_s: 1\nsteps: {a: {value: 1}}", "is the same setting"),
            ("project: d\nconcurrency: 0\nsteps: {a: {value: 1}}", "must be at least 1; got 0"),
        ],
    )
    def test_each_mistake_of_the_job_is_named(self, text: str, piece: str) -> None:
        assert any(piece in message for _, message in problems(text))

    @each_case(
        "task, line, said",
        [
            ("5", 2, ["must be a text; got 5"]),
            ("''", 2, ["required in a spec without `steps`"]),
            ("'  '", 2, ["required in a spec without `steps`"]),
        ],
    )
    def test_a_task_that_is_no_text_is_not_called_missing(
        self, task: str, line: int, said: list[str]
    ) -> None:
        found = problems(f"project: demo\ntask_description: {task}\n")
        assert [at for at, _ in found] == [line]
        assert all(piece in message for piece, (_, message) in zip(said, found, strict=True))

    def test_a_mistake_in_a_block_is_reported_on_its_own_line(self) -> None:
        text = f"{HEAD}steps:\n  a:\n    prompt: |\n      one\n      ${{{{ nope }}}}\n"
        assert problems(text)[0][0] == 6


class TestYaml:
    """The form of the YAML text."""

    @pytest.mark.parametrize(
        ("text", "piece"),
        [
            ("a: 1\na: 2", ":2:1: duplicate key 'a'"),
            ("a: !!python/object:os.system x", "tags are not allowed"),
            ("a: !x y", "tags are not allowed"),
            ("b: &b {c: 1}\na:\n  <<: *b", ":3:3: merge keys"),
            ("a: *b", "has no anchor before it"),
            ("a: &a [*a]", "has no anchor before it"),
            ("[a]: 1", "a key must be a text"),
            ("--- 1\n--- 2", "only one YAML document"),
            ("a: [1", "not valid YAML"),
            ("a: \x00", "not valid YAML"),
            ("a: \t- x\n b", "not valid YAML"),
            ("[" * (DEPTH_MAX + 2) + "]" * (DEPTH_MAX + 2), "levels deep"),
            ("a" * (SIZE_MAX + 1), "16 MiB"),
        ],
        ids=lambda text: text[:20],
    )
    def test_what_is_refused_is_refused_with_its_place(self, text: str, piece: str) -> None:
        assert piece in refusal(text)

    def test_an_alias_bomb_is_refused_at_the_limit_of_nodes(self) -> None:
        bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
            f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
        )
        assert f"more than {ALIASED_NODES_MAX} nodes" in refusal(bomb)

    def test_an_ordinary_alias_is_allowed(self) -> None:
        assert value_of("a: &x {b: 1}\nc: *x") == {"a": {"b": 1}, "c": {"b": 1}}

    @each_case(
        "text, value",
        [
            ("no", "no"),
            ("on", "on"),
            ("Yes", "Yes"),
            ("012", "012"),
            ("0x1F", "0x1F"),
            ("1_000", "1_000"),
            ("12:30:00", "12:30:00"),
            ("2020-01-01", "2020-01-01"),
            (".inf", ".inf"),
            ("1e999", "1e999"),
            ("true", True),
            ("~", None),
            ("-7", -7),
            ("1.5", 1.5),
            ("1e3", 1000.0),
            ("'1'", "1"),
            ("9" * 19, 10**19 - 1),
        ],
    )
    def test_a_plain_scalar_is_what_it_looks_like(self, text: str, value: object) -> None:
        found = value_of(f"a: {text}")
        assert found == {"a": value}
        assert isinstance(found, dict)
        assert type(found["a"]) is type(value)


class TestResolve:
    """Precedence of settings: command line, spec, environment, default; other for providers."""

    SPEC = f"{HEAD}provider: ollama\nmodel: own\nsteps: {{a: {{prompt: x}}, b: {{run: x}}}}\n"
    BARE = f"{HEAD}steps: {{a: {{prompt: x}}, b: {{run: x}}}}\n"

    @pytest.mark.parametrize(
        ("text", "fields", "provider", "model"),
        [
            (BARE, {}, "ollama", "ollama-default"),
            (BARE, {"environment": {"OLLAMA_MODEL": "e"}}, "ollama", "e"),
            (SPEC, {}, "ollama", "own"),
            (SPEC, {"environment": {"OLLAMA_MODEL": "e"}}, "ollama", "own"),
            (SPEC, {"model": "m"}, "ollama", "m"),
            (SPEC, {"environment": {"PROVIDER": "openai"}}, "openai", "openai-default"),
            (SPEC, {"environment": {"MODEL_BACKEND": "openai"}}, "openai", "openai-default"),
            (
                SPEC,
                {"environment": {"PROVIDER": "openai", "OPENAI_MODEL": "e"}},
                "openai",
                "e",
            ),
            (
                SPEC,
                {"environment": {"PROVIDER": "openai", "MODEL_BACKEND": "ollama"}},
                "openai",
                "openai-default",
            ),
            (SPEC, {"provider": "openai"}, "openai", "openai-default"),
            (SPEC, {"provider": "openai/p", "model": "m"}, "openai", "m"),
            (SPEC, {"provider": "openai/p"}, "openai", "p"),
            (SPEC, {"provider": "ollama", "environment": {"PROVIDER": "openai"}}, "ollama", "own"),
            (SPEC, {"provider": "replay"}, "replay", "own"),
        ],
    )
    def test_provider_and_model(
        self, text: str, fields: dict[str, object], provider: str, model: str
    ) -> None:
        definition = resolve(text, **fields)
        assert (definition.provider, definition.model) == (provider, model)
        assert (definition.steps[0].provider, definition.steps[0].model) == (provider, model)

    def test_a_step_with_a_provider_of_its_own_keeps_it_but_for_replay(self) -> None:
        text = f"{HEAD}steps: {{a: {{prompt: x, provider: openai/big}}}}\n"
        (one,) = resolve(text, environment={"PROVIDER": "ollama"}).steps
        assert (one.provider, one.model) == ("openai", "big")
        assert resolve(text, provider="replay").steps[0].provider == "replay"

    def test_an_unknown_provider_is_named_with_the_nearest(self) -> None:
        with pytest.raises(SpecError, match="did you mean 'openai'"):
            resolve(self.SPEC, provider="openia")

    @pytest.mark.parametrize(
        ("environment", "extra", "params"),
        [
            ({}, "", {}),
            ({"TEMPERATURE": "0.5", "MAX_TOKENS": "9"}, "", {"temperature": 0.5, "max_tokens": 9}),
            ({"TEMPERATURE": "0.5"}, "params: {temperature: 1}\n", {"temperature": 1.0}),
            ({"TOP_P": "0.5"}, "params: {top_p: null}\n", {}),
        ],
    )
    def test_parameters(
        self, environment: dict[str, str], extra: str, params: dict[str, object]
    ) -> None:
        (one,) = resolve(
            f"{HEAD}{extra}steps: {{a: {{prompt: x}}}}\n", environment=environment
        ).steps
        assert one.params == params

    def test_attempts_and_timeouts_by_default_from_the_environment_and_from_the_spec(self) -> None:
        definition = resolve(self.BARE)
        prompt, command = definition.steps
        assert (prompt.retry.max_attempts, silence_of(definition)) == (3, 120.0)
        assert (command.retry.max_attempts, command.timeout_s) == (1, None)
        assert "timeout" in prompt.retry_on
        assert "schema" not in prompt.retry_on
        environment = {"MAX_RETRIES": "5", "TIMEOUT_S": "7", "JITTER": "0.5"}
        definition = resolve(self.BARE, environment=environment)
        prompt, command = definition.steps
        assert (prompt.retry.max_attempts, prompt.retry.jitter) == (5, 0.5)
        assert silence_of(definition) == 7.0
        assert (command.retry.max_attempts, command.timeout_s) == (1, None)
        text = f"{HEAD}defaults: {{retry: 2, timeout: 1m}}\nsteps: {{a: {{prompt: x, retry: 4}}}}\n"
        definition = resolve(text, environment=environment)
        assert (definition.steps[0].retry.max_attempts, silence_of(definition)) == (4, 60.0)

    def test_the_timeout_of_a_server_holds_for_its_calls_only(self) -> None:
        servers = "servers:\n  slow: {base_url: 'http://localhost:1/v1', key: null, timeout: 9m}\n"
        asks = "prompt: x, provider: openai/m, fallback: [slow/m]"
        environment = {"OPENAI_BASE_URL": "http://localhost:2/v1", "TIMEOUT_S": "7"}
        for own, expected in (("", [7.0, 540.0]), (", timeout: 1m", [60.0, 60.0])):
            text = f"{HEAD}{servers}steps: {{a: {{{asks}{own}}}}}\n"
            definition = resolve(text, environment=environment)
            (one,) = definition.steps
            assert [definition.silence_of(one, target) for target in one.targets()] == expected

    @each_case("name", ["TEMPERATURE", "TIMEOUT_S", "MAX_RETRIES", "JITTER", "TOP_P"])
    @each_case("value", ["warm", "-1", "nan", "inf", "1e99"])
    def test_an_environment_that_is_no_number_is_one_problem(self, name: str, value: str) -> None:
        with pytest.raises(SpecError, match=name) as caught:
            resolve(self.BARE, environment={name: value})
        assert len(caught.value.problems) == 1

    @each_case(
        "name, value, bounds",
        [
            ("MAX_RETRIES", "1001", "a whole number from 0 to 1,000"),
            ("MAX_RETRIES", "2.5", "a whole number from 0 to 1,000"),
            ("JITTER", "2", "a number from 0 to 1"),
            ("JITTER", "0.0_5", "a number from 0 to 1"),
            ("TOP_P", "1.1", "a number above 0 and up to 1"),
            ("TOP_P", "0", "a number above 0 and up to 1"),
            ("MAX_TOKENS", "0", "a whole number from 1 to 1,000,000,000"),
            ("MAX_TOKENS", "2e9", "a whole number from 1 to 1,000,000,000"),
            ("CB_THRESHOLD", "1.5", "a whole number from 0 to 1,000,000,000"),
            ("TEMPERATURE", "inf", "a number from 0 to 1,000,000,000"),
        ],
    )
    def test_a_number_of_the_environment_has_the_bounds_of_its_key(
        self, name: str, value: str, bounds: str
    ) -> None:
        with pytest.raises(SpecError, match=f"{name} must be {bounds}; got '{value}'"):
            resolve(self.BARE, environment={name: value})

    def test_inputs_are_given_defaulted_or_asked_for(self) -> None:
        text = f"{HEAD}inputs: {{n: {{type: integer}}, s: {{default: d}}}}\nsteps: {{a: {{value: 1}}}}\n"
        assert resolve(text, inputs={"n": "4"}).inputs == {"n": 4, "s": "d"}
        for values, piece in (({}, "-i n=VALUE"), ({"n": "x"}, "integer"), ({"m": "1"}, "no such")):
            with pytest.raises(SpecError, match=piece):
                resolve(text, inputs=values)

    def test_a_reference_adds_itself_to_the_needs(self) -> None:
        text = f"{HEAD}steps: {{a: {{value: 1}}, b: {{value: '${{{{ steps.a.output }}}}'}}}}\n"
        assert resolve(text).steps[1].needs == ("a",)

    def test_an_output_folder_is_absolute_from_the_folder_of_submission(self) -> None:
        text = f"{HEAD}output_dir: out\nsteps: {{a: {{value: 1}}}}\n"
        assert resolve(text, submit_dir="/home/me").output_dir == "/home/me/out"

    def test_the_six_field_form_runs_the_built_in_graph(self) -> None:
        text = (
            "project: tiny_notes_api\ntask_description: Create it\nprovider: ollama\n"
            "concurrency: 4\ntimeout_s: 900\noutput_dir: src/generated\n"
        )
        definition = resolve(text)
        needs = {one.id: one.needs for one in definition.steps}
        assert needs["builder"] == needs["docs"] == ("architect",)
        assert set(needs["qa"]) == {"builder", "docs"}
        assert (definition.timeout_s, definition.concurrency) == (900, {"total": 4})
        assert definition.task_description == "Create it"

    def test_what_is_recorded_of_a_job_gives_the_job_back(self) -> None:
        definition = resolve(yaml.safe_dump(GOOD_SPEC))
        assert load_job(dump_job(definition)) == definition


class TestFuzz:
    """Any text gives a spec or a SpecError."""

    @bounded(200)
    @given(st.text() | st.text("{}[]:,-&*!|>'\"%@#?~ \n\tab1.$"))
    def test_any_text(self, text: str) -> None:
        self.check(text)

    @bounded(200)
    @given(mutated_specs())
    def test_a_good_spec_with_mutations(self, text: str) -> None:
        self.check(text)

    def test_the_spec_that_is_mutated_is_good(self) -> None:
        parse_spec(yaml.safe_dump(GOOD_SPEC))

    def check(self, text: str) -> None:
        try:
            definition = resolve(text)
        except SpecError as error:
            said = [found.message.strip() for found in error.problems]
        else:
            said = ["nothing is wrong"]
            build_graph(definition.steps)
            assert load_job(dump_job(definition)) == definition
        assert said
        assert all(said)


class TestGraph:
    """The dependency graph of the steps."""

    def test_levels_are_the_longest_way_from_a_root(self) -> None:
        graph = build_graph(
            [step("a"), step("b", needs="a"), step("c", needs=("a", "b")), step("d")]
        )
        assert graph.levels() == [["a", "d"], ["b"], ["c"]]
        assert graph.dependents["a"] == ("b", "c")

    @pytest.mark.parametrize(
        "steps",
        [
            [step("a"), step("a")],
            [step("a", needs="x")],
            [step("a", needs="b"), step("b", needs="a")],
            [step("a", needs="a")],
        ],
        ids=["twice", "unknown", "cycle", "itself"],
    )
    def test_a_graph_from_a_foreign_ledger_is_checked(self, steps: list[StepDef]) -> None:
        with pytest.raises(SpecError):
            build_graph(steps)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (90, 90),
        ("90", 90),
        ("90s", 90),
        ("1.5m", 90),
        ("1h", 3600),
        ("2d", 172800),
        ("250ms", 0.25),
    ],
)
def test_a_duration_is_in_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        0,
        -1,
        "",
        "0s",
        "1w",
        "1h30m",
        "ten",
        True,
        None,
        [],
        math.nan,
        math.inf,
        "1e3",
        "400d",
        10**400,
    ],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@each_case(
    "path",
    [
        "a",
        "a/b.txt",
        "ü.md",
        "a b",
        ".hidden",
        "a..b",
        "...a",
        "\U0001f600.md",
        "数/é",
        ".gitignore",
        "git",
        "console",
        "com10",
        "auxiliary.txt",
        "a'b",
        "$(id)",
        "-rf",
        "`x`",
    ],
)
def test_a_plain_path_may_be_written(path: str) -> None:
    assert path_problem(path) == ""


@each_case(
    "path",
    ["", "/a", "~a", "../a", "a/../b", "a//b", "./a", "a/", "a\\b", "a\0", "a\nb", "C:x", "con", "a.",
     " a", "u\u0308", "\u202ea", "a" * 201, "/".join(["abc"] * 300), "nul.txt", "a*",
     ".", "..", "a/..", "a/.", "/", "~/a", "~root/a", "C:\\x", "\\\\host\\x", "..\\a", "a ", "a. .",
     "AUX", "lpt9.log", "com\u00b9", "CONOUT$", "nul .txt", "x/con.d/y", ".git/hooks/post-commit",
     ".GIT/config", "a/.Git/x", "GIT~1/x", "git~2", ".a.1-2.orc-tmp", "x.ORC-TMP", "a\u2028b",
     "a\u2029b", "a\u200bb", "a\u2066b", "a\u061cb", "a\ufeff", "a\U000e0041", "a\ud800", "a\x1b[2J",
     "a\x85b", "a\x9b", "a\x7f", "a\tb", "a\rb", "\u212b", "e\u0301", "a:b", "a|b", 'a"b', "a<b", "a?",
     "\U0001f600" * 51, "a/" * 600 + "a"],
)  # fmt: skip
def test_a_path_that_leaves_or_confuses_is_refused(path: str) -> None:
    assert path_problem(path)


@bounded(100)
@given(st.text())
def test_no_path_that_passes_leaves_the_folder(path: str) -> None:
    if not path_problem(path):
        assert Path("/out", path).resolve().is_relative_to("/out")
        assert "\0" not in path
