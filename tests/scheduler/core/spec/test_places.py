"""The places of values are read from a spec's text for a problem only."""

from __future__ import annotations

import pytest

from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.source import places, yaml_source
from orc.scheduler.core.spec.parse import parse_spec

SPEC = """\
project: places
inputs: {who: {default: you}}
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
    parse_spec(SPEC)
    assert read == []
    with pytest.raises(SpecError):
        parse_spec(SPEC.replace("needs: ask", "needs: nobody"))
    assert read == [""]


def test_places_are_those_of_the_text_with_its_pairs_of_surrogates_joined() -> None:
    document = yaml_source.parse_yaml('a: "\\ud83d\\ude00"\nb: 1\n', source_name="spec.yaml")
    assert document.value["a"] == "\U0001f600"
    assert document.place(("b",)) == (2, 4)
    assert document.places.written == {("b",): "1"}
