"""Files in messages, prompts that are cached, and options that are refused: whole runs."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.cli.command_line import orc, write
from tests.cli.jobs.test_models import KEY, rows, server
from tests.model_server import Asked, ModelServer, Says

__all__ = ["server"]

ONE = "steps: {a: {prompt: hi}}\n"
PDF = b"%PDF-1.7\n1 0 obj<<>>endobj\n%%EOF\n" + b" " * 20_000
"""More than the rest of a request has."""
FILES = """\
project: p
provider: {provider}/model-a
inputs:
  rules: {{type: file, default: rules.txt}}
secrets: [PARTS_SECRET]
steps:
  write:
    run: 'printf "the Rhine" > notes.md; cp $ORC_SPEC_DIR/paper.bin two.pdf'
    files: ['*.md', '*.pdf']
  look:
    needs: write
    messages:
      - role: user
        content:
          - file: paper.bin
          - file: notes.md
          - file: ${{{{ inputs.rules }}}}
          - file: ${{{{ steps.write.files['two.pdf'].path }}}}
          - text: What is this?
"""


@pytest.mark.parametrize("provider", ["openai", "openai-responses", "anthropic"])
def test_documents_of_the_spec_of_steps_and_of_inputs_reach_the_model(
    provider: str, server: ModelServer, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = lambda asked: Says("ok")
    monkeypatch.setenv("PARTS_SECRET", KEY)
    (here / "paper.bin").write_bytes(PDF)
    (here / "rules.txt").write_text(f"No dogs. {KEY}", "utf-8")
    text = FILES.format(provider=provider).replace(
        "- file: notes.md", "- file: ${{ steps.write.files['notes.md'].path }}"
    )
    said = orc("run", write("spec.yaml", text))
    assert said.code == 0, said.err
    body = json.dumps(server.seen[0].body)
    assert body.count(base64.b64encode(PDF).decode()) == 2
    assert "the Rhine" in body
    assert "No dogs." in body
    assert KEY not in body
    blobs = [bytes(str(row["content"]), "utf-8") for row in rows("SELECT content FROM blobs")]
    assert not any(base64.b64encode(PDF) in blob for blob in blobs), "the bytes are there once"
    [job] = rows("SELECT job_id FROM jobs")
    shown = orc("show", job["job_id"], "look")
    assert "[application/pdf, paper.bin]" in shown.out
    assert "[text/plain, notes.md]\nthe Rhine" in shown.out
    assert orc("verify", job["job_id"]).code == 0
    forked = orc("fork", job["job_id"], "--from", "look")
    assert forked.code == 0, forked.err
    assert json.dumps(server.seen[1].body) == body
    [events] = rows(
        "SELECT json_extract(data, '$.attached_bytes') AS attached, "
        "json_extract(data, '$.worst_case.input_tokens') AS worst FROM events "
        f"WHERE type = 'llm.requested' AND job_id = '{job['job_id']}'"
    )
    assert events["attached"] == 2 * len(base64.b64encode(PDF))
    assert events["worst"] > events["attached"]


@pytest.mark.parametrize(
    ("provider", "name", "content", "problem"),
    [
        ("ollama", "a.pdf", PDF, "'ollama' cannot read a file of the kind PDF; use anthropic,"),
        (
            "anthropic",
            "a.bin",
            b"\xff\xfe\x00",
            "'a.bin' is neither an image (PNG, JPEG, GIF, WebP)",
        ),
        ("anthropic", "a.txt", b"x" * (4 * 1024 * 1024 + 1), "is larger than 4 MiB, the most"),
        ("anthropic", "a.pdf", None, "cannot read"),
        ("anthropic", "a.txt", b"", "'a.txt' is empty"),
        ("anthropic", "https://example.org/a.pdf", None, "addresses are not read; download"),
    ],
)
def test_a_file_that_cannot_be_sent_is_refused_by_its_place_in_the_spec(
    here: Path, provider: str, name: str, content: bytes | None, problem: str
) -> None:
    if content is not None:
        (here / name).write_bytes(content)
    text = f"project: p\nprovider: {provider}\nsteps:\n  look:\n    messages:\n      - role: user\n"
    text += f"        content:\n          - file: {name}\n"
    said = orc("validate", write("spec.yaml", text))
    assert said.code == 2
    assert "spec.yaml:8:19: steps.look.messages[0].content[0].file: " in said.err
    assert problem in said.err


def test_only_the_spec_itself_names_a_file_elsewhere_on_the_machine(
    server: ModelServer, here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server.answer = lambda asked: Says("ok")
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "notes.txt"
    elsewhere.write_text("the Danube", "utf-8")
    message = (
        "project: p\nprovider: openai/model-a\ninputs: {{path: {{default: {path}}}}}\nsteps:\n"
    )
    message += "  name: {{run: 'echo {path}'}}\n  ask:\n    messages:\n      - role: user\n"
    message += "        content: [{{file: '{file}'}}]\n"
    message += "    needs: name\n"

    spec = write("spec.yaml", message.format(path=elsewhere, file=elsewhere))
    assert orc("run", spec).code == 0
    assert "the Danube" in json.dumps(server.seen[0].body)
    for written in ("steps.name.output", "inputs.path"):
        spec = write("spec.yaml", message.format(path=elsewhere, file=f"${{{{ {written} }}}}"))
        said = orc("run", spec)
        assert said.code == 1
        assert f"the file '{elsewhere}' does not exist: no step has written it" in said.err
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("gone.pdf", "the file 'gone.pdf' does not exist: no step has written it"),
        ("secret.txt", "is of step 'other', which this step does not depend on"),
    ],
)
def test_a_file_that_no_step_gives_fails_the_step(
    server: ModelServer, here: Path, file: str, problem: str
) -> None:
    message = "messages: [{role: user, content: [{file: '${{ steps.name.output }}'}]}]"
    text = "project: p\nprovider: openai/model-a\nsteps:\n"
    text += "  other: {run: 'echo > secret.txt', files: [secret.txt]}\n"
    text += f"  name: {{value: {file}}}\n"
    text += "  later: {run: 'until [ -e $ORC_SPEC_DIR/runs ]; do sleep 0.1; done; sleep 0.5'}\n"
    text += f"  look: {{needs: [name, later], {message}}}\n"
    said = orc("run", write("spec.yaml", text))
    assert said.code == 1
    assert problem in said.err
    assert server.seen == []


@pytest.mark.parametrize(
    ("provider", "options", "problem"),
    [
        ("openai", "{n: 3}", "n asks for several replies"),
        ("openai", "{best_of: 2}", "best_of asks for several replies"),
        (
            "openai",
            "{logprobs: true, top_logprobs: 2}",
            "logprobs asks for probabilities of tokens",
        ),
        ("openai", "{modalities: [text, audio]}", "modalities asks for more than text"),
        ("openai", "{modalities: 5}", "modalities asks for more than text"),
        ("openai", "{include: logprobs}", "include asks for probabilities"),
        ("openai", "{audio: {voice: alloy}}", "audio asks for sound"),
        ("openai", "{include: [message.output_text.logprobs]}", "include asks for probabilities"),
        ("openai", "{background: true}", "background asks for a reply that comes later"),
        (
            "openai",
            "{extra_body: {num_return_sequences: 2}}",
            "extra_body.num_return_sequences asks",
        ),
        ("ollama", "{logprobs: true}", "logprobs asks for probabilities of tokens"),
        ("anthropic", "{n: 2}", "n asks for several replies"),
        ("mlx", "{top_logprobs: 1}", "top_logprobs asks for probabilities of tokens"),
    ],
)
def test_what_orc_would_pay_for_and_drop_is_refused(
    here: Path, provider: str, options: str, problem: str
) -> None:
    text = f"project: p\nprovider: ollama\nparams: {{{provider}: {options}}}\n{ONE}"
    said = orc("validate", write("spec.yaml", text))
    assert said.code == 2
    assert f"spec.yaml:3:{len(provider) + 12}: params.{provider}: " in said.err
    assert problem in said.err
    assert "got a mapping" not in said.err


def test_an_option_from_an_input_is_judged_by_its_value(server: ModelServer, here: Path) -> None:
    server.answer = lambda asked: Says("ok")
    text = "project: p\nprovider: openai/m\ninputs: {n: {type: integer, default: 1}}\n"
    text += "params: {openai: {n: '${{ inputs.n }}'}}\n" + ONE
    path = write("spec.yaml", text)
    assert orc("run", path).code == 0
    assert server.seen[0].body["n"] == 1
    said = orc("run", path, "-i", "n=2")
    assert said.code == 2
    assert "params.openai: n asks for several replies" in said.err


def test_options_that_ask_for_one_text_are_sent(server: ModelServer, here: Path) -> None:
    server.answer = lambda asked: Says("ok")
    options = "{n: 1, logprobs: false, modalities: text, include: true, store: true, user: me}"
    text = f"project: p\nprovider: openai/m\nparams: {{openai: {options}}}\n{ONE}"
    assert orc("run", write("spec.yaml", text)).code == 0
    assert {"n": 1, "store": True, "user": "me"}.items() <= server.seen[0].body.items()


def test_a_late_option_that_orc_would_drop_fails_the_step_before_anything_is_sent(
    server: ModelServer, here: Path
) -> None:
    text = "project: p\nprovider: openai/m\nsteps:\n  a: {value: {n: 2}}\n"
    text += "  b: {prompt: hi, params: {openai: '${{ steps.a.output }}'}}\n"
    said = orc("run", write("spec.yaml", text))
    assert said.code == 1
    assert "n asks for several replies" in said.err
    assert server.seen == []


CACHED = """\
project: p
provider: anthropic/claude-haiku-5-5
defaults: {cache_prompt: true, params: {max_tokens: 50}}
steps:
  ask:
    for_each: [One?, Two?]
    as: question
    max_parallel: 1
    system: The same.
    messages:
      - role: user
        content: [{text: "Of ${{ project }}", }, {text: "${{ question }}"}]
  other: {prompt: Three?, cache_prompt: false, needs: ask}
"""


def test_the_beginning_of_a_prompt_is_cached_counted_priced_and_shown(
    server: ModelServer, here: Path
) -> None:
    def answer(asked: Asked) -> Says:
        return Says("ok", cached=(0, 2000) if "One?" in asked.last else (2000, 0))

    server.answer = answer
    assert orc("run", write("spec.yaml", CACHED)).code == 0
    bodies = [asked.body for asked in server.seen]
    first, second = (body["messages"][0]["content"] for body in bodies[:2])
    assert (
        first[0]
        == second[0]
        == {
            "type": "text",
            "text": "Of p",
            "cache_control": {"type": "ephemeral"},
        }
    )
    assert [first[1]["text"], second[1]["text"]] == ["One?", "Two?"]
    assert bodies[0]["system"] == bodies[1]["system"]
    assert "cache_control" not in json.dumps(bodies[2])
    counts = "SELECT input_tokens, cached_tokens, cache_write_tokens, cost_nano_usd FROM llm_calls"
    assert rows(f"{counts} ORDER BY call_id LIMIT 2") == [
        {
            "input_tokens": 2010,
            "cached_tokens": 0,
            "cache_write_tokens": 2000,
            "cost_nano_usd": 10 * 100 + 2000 * 125 + 5 * 500,
        },
        {
            "input_tokens": 2010,
            "cached_tokens": 2000,
            "cache_write_tokens": 0,
            "cost_nano_usd": 10 * 100 + 2000 * 10 + 5 * 500,
        },
    ]
    [job] = rows("SELECT job_id FROM jobs")
    shown = orc("show", job["job_id"], "ask[0]").out
    assert "2,010 tokens in (2,000 to its cache), 5 out" in shown
    found = orc("cost", job["job_id"], "--json").json()
    assert "cache_write_tokens" in json.dumps(found)
    refused = orc(
        "validate", write("spec.yaml", "project: p\nsteps: {a: {run: ls, cache_prompt: true}}")
    )
    assert refused.code == 2
