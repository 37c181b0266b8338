"""Words of commands and values of variables are the texts that the author wrote."""

from __future__ import annotations

import pytest

from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.spec.parse import parse_spec


@pytest.mark.parametrize("written", ["1", "1.10", "1e3", "-0", "+1", "true", "True", "012", "no"])
def test_words_and_variables_are_texts_as_they_are_written(written: str) -> None:
    spec = parse_spec(
        f"project: p\nenv: {{A: {written}}}\ndefaults: {{env: {{B: {written}}}}}\nsteps:\n"
        f"  a: {{run: [x, {written}], env: {{C: {written}, D: null}}}}\n"
        f"  b: {{run: {written}}}\n"
        f"  c: {{steps: {{d: {{run: [{written}]}}}}}}\n"
    )
    steps = spec.steps
    assert steps["a"].run == ["x", written]
    assert steps["a"].env == {"C": written, "D": None}
    assert steps["b"].run == written
    assert steps["c"].steps is not None
    assert steps["c"].steps["d"].run == [written]
    assert (spec.job.env, spec.job.defaults.env) == ({"A": written}, {"B": written})


def test_an_alias_is_the_same_words_as_long_as_no_fraction_is_lost() -> None:
    text = "project: p\nsteps:\n  a: {value: &x [1, true%s]}\n  b: {run: *x}\n"
    spec = parse_spec(text % "")
    assert spec.steps["a"].value == [1, True]
    assert spec.steps["b"].run == ["1", "true"]
    with pytest.raises(SpecError, match=r"b\.run\[2\]: must be a text; got 1\.1; to give"):
        parse_spec(text % ", 1.10")


MESSAGES = {
    "run: [a, [b]]": "run[1]: must be a text; got a list",
    "run: {a: b}": "run: must be a text or a list; got a mapping",
    "run: x, env: {A: [1]}": "env.A: must be a text; got a list",
    "prompt: 1.10": "prompt: must be a text or {file: PATH}; got 1.1; to give it "
    "as a text, write '1.10'",
    "prompt: x, params: {stop: [1]}": "params.stop[0]: must be a text; got 1; to give it as a text, "
    "write '1'",
    "approval: {message: x, options: [yes, true]}": "approval.options[1]: must be a text; got true; "
    "to give it as a text, write 'true'",
    "approval: [x]": "approval: must be a text or a mapping; got a list",
    "run: x, labels: gpu": "labels: must be a list; got 'gpu'; for a list of one, write [gpu]",
    "run: x, secrets: [1]": "secrets[0]: must be a text; got 1; to give it as a text, write '1'",
    "run: x, retry: '2'": "retry: must be a whole number or a mapping; got '2'; write it without quotes",
    "run: x, continue_on_error: 'true'": "continue_on_error: must be true or false; got 'true'; write "
    "it without quotes",
    "messages: [{role: user, content: [{text: 1}]}]": "messages[0].content[0].text: must be a text; "
    "got 1; to give it as a text, write '1'",
    "run: x, needs: [null]": "needs[0]: must be a text; got nothing (null)",
    "run: x, retry: true": "retry: must be a whole number or a mapping; got true",
}
"""What is said of a value of another type, by the keys of the step."""


@pytest.mark.parametrize("keys", MESSAGES)
def test_a_value_of_another_type_is_named_with_what_to_write(keys: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_spec(f"project: p\nsteps: {{a: {{{keys}}}}}\n")
    [problem] = refused.value.problems
    assert problem.message == f"steps.a.{MESSAGES[keys]}"
