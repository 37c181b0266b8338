"""`orc show JOB STEP`: one step with its texts, files and log; exact texts for pipes; the pager."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orc.cli.terminal.contents import pager
from orc.cli.terminal.contents.file_text import file_text
from orc.projections.history.exchange import _reasoning
from tests.cli.command_line import Said, orc, submit, write
from tests.projections.sample_files import FILES

SPEC = """\
project: demo
provider: replay
steps:
  outline: {prompt: "Outline", output: {format: json}}
  chapter:
    for_each: ${{ steps.outline.output.chapters }}
    prompt: Write ${{ item }}
  files:
    needs: chapter
    run: |
      printf 'name,value\\none,1\\n' > t.csv
      printf '# Report\\n\\n- *first*\\n' > r.md
      echo '{"a":[1,2]}' > j.json
      echo logged
    files: [t.csv, r.md, j.json]
  bad: {needs: files, run: exit 1, continue_on_error: true}
"""
REPLIES = {
    "outline": '{"chapters": ["New", "Old"]}',
    "chapter[0]": "One\nline\x1b[2J\n",
    "chapter[1]": "Two",
}


@pytest.fixture
def ran(here: Path) -> Said:
    usage = {"input_tokens": 10, "output_tokens": 4}
    replies = {name: [{"text": text, "usage": usage}] for name, text in REPLIES.items()}
    write("s.replay.yaml", json.dumps({"version": 1, "replies": replies}))
    return orc("run", write("s.yaml", SPEC))


def test_a_step_is_shown_with_its_prompt_reply_and_use(ran: Said) -> None:
    shown = orc("show", "latest", "chapter[0]").out
    assert shown.splitlines()[0].endswith("  demo  chapter[0]  succeeded")
    assert "used       1 call, 10 tokens in, 4 out" in shown
    assert "\n-- user\nWrite New\n" in shown
    assert "\n-- reply\nOne\nline\\x1b[2J\n" in shown
    assert "\n== Output\nOne\n" in shown


def test_removed_bytes_are_named_in_one_sentence(ran: Said) -> None:
    assert orc("prune", "--job", "latest", "--yes").code == 0
    shown = orc("show", "latest", "files").out
    assert "== File demo/t.csv, 17 B\n(the bytes of blob " in shown
    assert "were removed by orc prune" in shown


def test_the_path_of_a_ledger_with_removed_bytes_is_left_out(ran: Said, tmp_path: Path) -> None:
    assert orc("prune", "--job", "latest", "--yes").code == 0
    (tmp_path / "a: b").mkdir()
    assert orc("backup", "a: b/runs.db").code == 0
    shown = orc("show", "latest", "files", "--db", "a: b/runs.db").out
    assert "== File demo/t.csv, 17 B\n(the bytes of blob " in shown


def test_files_are_shown_in_their_forms_and_the_log_too(ran: Said) -> None:
    shown = orc("show", "latest", "files").out
    assert "== File demo/t.csv, 17 B\nname  value\none   1\n" in shown
    assert "• first" in shown
    assert '{\n  "a": [\n    1,\n    2\n  ]\n}\n' in shown
    assert "\n-- log\nlogged\n" in shown


def test_a_group_shows_its_items_with_input_output_and_use(ran: Said) -> None:
    shown = orc("show", "latest", "chapter").out
    lines = [line.split() for line in shown.splitlines()]
    assert ["[0]", "succeeded", "New", "One", "line\\x1b[2J"] in [line[:5] for line in lines]
    assert "used       2 calls, 20 tokens in, 8 out" in shown
    value = orc("show", "latest", "chapter", "--json").json()
    assert (value["tokens"], value["used"]["input_tokens"], value["used"]["calls"]) == (0, 20, 2)
    assert [one["used"]["output_tokens"] for one in value["inside"]] == [4, 4]
    steps = orc("show", "latest", "--json").json()["steps"]
    assert next(one for one in steps if one["step"] == "chapter")["used"]["output_tokens"] == 8


def test_exact_texts_are_printed_for_pipes(ran: Said) -> None:
    assert orc("show", "latest", "chapter[0]", "--prompt").out == "Write New"
    assert orc("show", "latest", "chapter[0]", "--reply").out == REPLIES["chapter[0]"]
    assert orc("show", "latest", "chapter[0]", "--output").out == REPLIES["chapter[0]"]
    assert json.loads(orc("show", "latest", "outline", "--output").out) == {
        "chapters": ["New", "Old"]
    }
    assert orc("show", "latest", "chapter[1]", "--output", "--json").json()["output"] == "Two"
    assert orc("show", "latest", "--result", "chapter[1]").out == "Two"
    assert "as of event 3" in orc("show", "latest", "outline", "--at", "3").err


def test_json_has_every_text(ran: Said) -> None:
    value = orc("show", "latest", "chapter[0]", "--json").json()
    (attempt,) = value["attempt_texts"]
    (call,) = attempt["calls"]
    assert call["messages"] == [{"role": "user", "text": "Write New", "tool": None}]
    assert (call["reply"], value["output"]) == (REPLIES["chapter[0]"],) * 2
    files = orc("show", "latest", "files", "--json").json()
    assert [one["path"] for one in files["files"]] == ["demo/j.json", "demo/r.md", "demo/t.csv"]
    assert files["attempt_texts"][0]["log"] == "logged\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("latest", "nope"), "has no step 'nope'"),
        (("latest", "chapters"), "did you mean 'chapter'?"),
        (("latest", "bad", "--output"), "bad has no result; `orc why job_"),
        (("latest", "files", "--prompt"), "files has no prompt; `orc why job_"),
        (("latest", "files", "--reply"), "files has no reply"),
        (("latest", "--reply"), "--reply needs a step"),
        (("latest", "--no-pager"), "--no-pager needs a step"),
        (("latest", "files", "--reply", "--output"), "cannot be combined"),
        (("latest", "files", "--graph"), "STEP shows one step"),
    ],
)
def test_what_cannot_be_shown_is_refused(ran: Said, arguments: tuple[str, ...], said: str) -> None:
    refused = orc("show", *arguments)
    assert (refused.code, said in refused.err) == (2, True), refused.err


@pytest.mark.parametrize("path", FILES)
def test_files_of_every_form_are_safe_on_a_terminal(path: str) -> None:
    shown = file_text(path, FILES[path])
    assert shown.endswith("\n")
    assert shown.replace("\n", "").replace("\t", "").isprintable()


@pytest.mark.parametrize(
    ("native", "reasoning"),
    [
        ({"thinking": "hm"}, "hm"),
        ([{"type": "thinking", "thinking": "a"}, {"type": "text"}, "x"], "a"),
        ([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "b"}]}], "b"),
        ([{"type": "reasoning"}], ""),
        (None, ""),
        ("odd", ""),
    ],
)
def test_the_reasoning_of_every_provider_is_found(native: object, reasoning: str) -> None:
    assert _reasoning(native) == reasoning


@pytest.mark.parametrize(
    ("named", "command"),
    [
        ({"ORC_PAGER": "cat"}, []),
        ({"ORC_PAGER": ""}, []),
        ({"PAGER": "no-such-pager"}, []),
        ({"ORC_PAGER": "sort -r", "PAGER": "cat"}, ["sort", "-r"]),
        ({"PAGER": "'unclosed"}, []),
    ],
)
def test_the_pager_is_chosen_as_git_does(
    named: dict[str, str], command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ORC_PAGER", "PAGER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    assert pager._pager() == command


def test_the_key_of_an_item_is_shown_where_its_id_has_another_name() -> None:
    job = submit(
        "project: p\nsteps:\n"
        "  each: {for_each: [Où?, plain], key: '${{ item }}', value: '${{ item }}'}\n"
        "  plain: {for_each: [a], key: '${{ item }}', value: 1}\n"
        "  numbered: {for_each: [1], value: 1}\n"
    )
    steps = orc("show", job, "--json").json()["steps"]
    keys = {step["step"]: step["item_key"] for step in steps}
    first = next(name for name, key in keys.items() if key == "Où?")
    assert first.startswith("each[")
    assert first != "each[Où?]"
    assert {**keys, first: None} == {
        "each": None, first: None, "each[plain]": "plain", "plain": None, "plain[a]": "a",
        "numbered": None, "numbered[0]": None,
    }  # fmt: skip
    head, *lines = orc("show", job).out.partition("STEP ")[2].splitlines()
    assert head.split()[0] == "KEY"
    assert [line.split()[1] for line in lines if line.startswith(first)] == ["Où?"]
    assert [line.split()[1] for line in lines if line.startswith("each ")] == ["succeeded"]
    assert "KEY" in orc("show", job, "each").out
    assert "KEY" not in orc("show", job, "plain").out
    assert "  key        Où?\n" in orc("show", job, first).out
    assert orc("rebuild").code == 0
    assert orc("show", job, "--json").json()["steps"] == steps
