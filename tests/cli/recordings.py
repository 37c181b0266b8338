"""A spec with prompts, and a model server's answers to them, for tests of recordings and replays."""

from __future__ import annotations

from tests.model_server import Asked, Fails, Says

SPEC = """\
project: rivers
provider: ollama/model-a
defaults: {retry: {max_attempts: 3, initial: 10ms}}
steps:
  name: {prompt: Name a river.}
  facts:
    prompt: "Facts on ${{ steps.name.output }}"
    output: {format: json, repair: 1}
    files: [{path: facts.json}]
  shout: {run: "echo ${{ steps.name.output }} | tr a-z A-Z"}
"""


def answer(asked: Asked) -> Says | Fails:
    if "cannot be used" in asked.last:
        return Says('{"km": 1233}', input_tokens=31, output_tokens=7)
    return Says("no JSON") if "Facts" in asked.last else Says("Rhine ☃\x1b")
