"""The places of values are read from a spec's text for a problem only."""

from __future__ import annotations

import pytest

from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.resolve.job import build_job
from orc.scheduler.core.source import places, yaml_source
from orc.scheduler.core.spec.parse import parse_spec
from tests.builders import settings

SPEC = """\
project: places
inputs: {who: {default: you}}
hooks: {succeeded: echo done}
steps:
  greet:
    prompt: |
      Hello ${{ inputs.who }}
    output: {format: json, schema: {type: object}}
  ask: {approval: 'Is ${{ steps.greet.output }} right?', needs: greet}
  send: {run: [echo, '${{ steps.ask.output }}'], env: {NAME: '${{ inputs.who }}'}, needs: ask}
"""


def test_no_place_is_read_of_a_spec_without_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def count(events: object) -> places.Places:
        read.append("")
        return places.Places()

    monkeypatch.setattr(yaml_source, "places_of_yaml", count)
    build_job(SPEC, source_name="spec.yaml", settings=settings())
    assert read == []
    with pytest.raises(SpecError):
        parse_spec(SPEC.replace("needs: ask", "needs: nobody"))
    assert read == [""]


def test_places_are_those_of_the_text_with_its_pairs_of_surrogates_joined() -> None:
    document = yaml_source.parse_yaml('a: "\\ud83d\\ude00"\nb: 1\n', source_name="spec.yaml")
    assert document.value["a"] == "\U0001f600"
    assert document.place(("b",)) == (2, 4)
    assert document.places.written == {("b",): "1"}


def test_a_value_inside_an_alias_is_there_too() -> None:
    document = yaml_source.parse_yaml("a: &a {b: [1, {c: }]}\nd: *a\n", source_name="spec.yaml")
    for key in ("a", "d"):
        assert document.has((key, "b", 1, "c"))
        assert not document.has((key, "b", 2))
        assert not document.has((key, "b", "c"))
        assert not document.has((key, "b", 0, "c"))


def test_a_problem_inside_an_alias_is_reported_wherever_it_stands() -> None:
    spec = """\
project: places
provider: replay
hooks: {succeeded: &h {run: 'echo ${{ no }}'}, failed: *h}
steps:
  a: {prompt: hello, output: &o {format: text, schema: {type: object}}}
  b: {prompt: hello, output: *o}
"""
    with pytest.raises(SpecError) as caught:
        parse_spec(spec)
    assert [problem.message.partition(": ")[0] for problem in caught.value.problems] == [
        "hooks.succeeded.run",
        "hooks.failed.run",
        "steps.a.output.schema",
        "steps.b.output.schema",
    ]
