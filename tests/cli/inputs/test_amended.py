"""An amendment that reads changed files or rows runs again exactly the items that changed."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.cli.command_line import orc, submit, work_in

SPEC = """\
project: amended
inputs: {rows: {type: table, default: rows.jsonl, allow_empty: true}}
steps:
  each:
    for_each: ${{ inputs.rows }}
    value: "${{ item.text }}"
"""
KEYED = SPEC.replace("    value", "    key: ${{ item.key }}\n    value")

Rows = dict[str, str]
ROWS = st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from("xyz"), max_size=6)


def write_rows(rows: Rows) -> None:
    lines = (json.dumps({"key": key, "text": text}) + "\n" for key, text in rows.items())
    Path("rows.jsonl").write_text("".join(lines))


def events_of(job: str) -> list[dict[str, Any]]:
    text = Path("runs", job, "events.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def ran_and_kept(job: str) -> tuple[set[str], set[str]]:
    """The items that ran and those that kept their results, after the last amendment."""
    events = events_of(job)
    last = max(place for place, found in enumerate(events) if found["type"] == "job.amended")
    names: dict[str, set[str]] = {"step.started": set(), "step.reused": set()}
    for found in events[last:]:
        if found["type"] in names and "[" in found["step"]:
            names[found["type"]].add(found["step"])
    return names["step.started"], names["step.reused"]


def amend(job: str, spec: str) -> None:
    Path("spec.yaml").write_text(spec)
    said = orc("resume", job, "--spec", "spec.yaml", "--quiet")
    assert said.code == 0, said.err


# Without shrinking: each example is three commands.
@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(ROWS, st.lists(ROWS, min_size=1, max_size=2), st.booleans())
def test_exactly_the_changed_rows_run_again(
    before: Rows, changes: list[Rows], is_keyed: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patches:
        work_in(Path(folder), patches)
        write_rows(before)
        spec = KEYED if is_keyed else SPEC
        job = submit(spec)
        # What each item had when it last ran, by its name.
        known = named(before, is_keyed)
        for after in changes:
            if after == before and list(after) == list(before):
                continue
            write_rows(after)
            amend(job, spec)
            wanted = named(after, is_keyed)
            ran, kept = ran_and_kept(job)
            assert ran == {name for name, row in wanted.items() if known.get(name) != row}
            assert kept == wanted.keys() - ran
            said = orc("show", job, "--json", "--result", "each")
            assert said.json()["output"] == list(after.values())
            before = after
            # What a removed item had counts when it comes back.
            known |= wanted
        assert orc("verify", job).code == 0


def named(rows: Rows, is_keyed: bool) -> dict[str, str]:
    """What each item does: only the text of its row is in its work."""
    return {
        f"each[{key if is_keyed else number}]": text
        for number, (key, text) in enumerate(rows.items())
    }


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in(tmp_path, monkeypatch)


def test_a_changed_prompt_runs_every_item_again() -> None:
    write_rows({"a": "x", "b": "y"})
    job = submit(KEYED)
    write_rows({"a": "x", "b": "z"})
    amend(job, KEYED.replace("${{ item.text }}", "${{ item.text }}!"))
    assert ran_and_kept(job) == ({"each[a]", "each[b]"}, set())


def test_items_that_a_person_asked_for_run_again() -> None:
    write_rows({"a": "x"})
    job = submit(KEYED)
    assert orc("rerun", job, "--step", "each", "--quiet").code == 0
    assert ran_and_kept(job) == ({"each[a]"}, set())


FILES = """\
project: files
inputs: {notes: {type: files, default: "notes/*.md"}}
steps:
  each:
    for_each: ${{ inputs.notes }}
    key: ${{ item.stem }}
    run: cat "$ORC_INPUTS"/notes/${{ item.path }}
    files: [{path: "${{ item.stem }}.txt", content: "${{ item.text }}"}]
  all: {run: 'cat "$ORC_INPUTS"/notes/*', cache: job}
  none: {value: 1}
"""


def write_notes(**notes: str) -> None:
    Path("notes").mkdir(exist_ok=True)
    for name, text in notes.items():
        Path("notes", f"{name}.md").write_text(text)


def test_only_the_changed_file_runs_again_and_commands_see_it() -> None:
    write_notes(a="one ", b="two ")
    job = submit(FILES)
    write_notes(b="three ", a0="zero ")
    said = orc("resume", job, "--spec", "spec.yaml")
    assert said.code == 0, said.err
    assert "items that did not change keep their results; 2 of 3 items are new or have" in said.err
    assert ran_and_kept(job) == ({"each[b]", "each[a0]"}, {"each[a]"})
    assert orc("show", job, "--json", "--result", "all").json()["output"] == "one zero three "
    outputs = Path("runs", job, "outputs", "files")
    assert {path.name: path.read_text() for path in outputs.iterdir()} == {
        "a.txt": "one ",
        "a0.txt": "zero ",
        "b.txt": "three ",
    }
    assert orc("verify", job).code == 0
    assert "did not change its work" in orc("why", job, "each[a]").out


def test_without_the_files_the_job_goes_on_as_it_was() -> None:
    write_notes(a="one ", b="two ")
    job = submit(FILES.replace('"${{ item.text }}"}]', '"${{ item.text }}"}]\n    if: false'))
    for path in Path("notes").iterdir():
        path.unlink()
    Path("notes").rmdir()
    amend(job, FILES)
    assert orc("show", job, "--json", "--result", "each").json()["output"] == ["one ", "two "]


@pytest.mark.parametrize(
    ("kind", "given", "output"),
    [
        ("file", "a.md", "one, 7"),
        ("files", "*.md", "2, 7"),
        ("files", '["a.md"]', "1, 7"),
        ("table", "rows.csv", "1, 7"),
        ("table", '[{"x": 1}]', "1, 7"),
    ],
)
def test_files_that_were_given_stay_when_something_else_changes(
    kind: str, given: str, output: str
) -> None:
    for name, text in {"a.md": "one", "b.md": "two", "rows.csv": "x\n1\n"}.items():
        Path(name).write_text(text)
    size = ".text" if kind == "file" else " | length"
    text = (
        f"project: given\ninputs:\n  data: {{type: {kind}}}\n  number: {{type: integer, default: 0}}\n"
        f"steps:\n  end: {{value: '${{{{ inputs.data{size} }}}}, ${{{{ inputs.number }}}}'}}\n"
    )
    job = submit(text, "-i", f"data={given}")
    for path in map(Path, ("a.md", "b.md", "rows.csv")):
        path.unlink()
    forked = orc("fork", job, "--set", "inputs.number=7", "--quiet")
    assert forked.code == 0, forked.err
    assert orc("show", "latest", "end", "--output").out.strip() == output
    amended = orc("resume", job, "--spec", "spec.yaml", "-i", "number=7", "--quiet")
    assert amended.code == 0, amended.err
    assert orc("show", job, "end", "--output").out.strip() == output


def test_an_imported_job_and_a_fork_need_no_file() -> None:
    write_notes(a="one ", b="two ")
    job = submit(FILES, "--until", "none")
    assert orc("bundle", job, "job.bundle").code == 0
    for path in Path("notes").iterdir():
        path.unlink()
    Path("elsewhere").mkdir()
    said = orc("import", "job.bundle", "--db", "elsewhere/runs.db")
    assert said.code == 0, said.err
    resumed = orc("resume", job, "--db", "elsewhere/runs.db", "--trust", "--quiet")
    assert resumed.code == 0, resumed.err
    shown = orc("show", job, "--json", "--result", "each", "--db", "elsewhere/runs.db")
    assert shown.json()["output"] == ["one ", "two "]
    forked = orc("fork", job, "--from", "none", "--quiet")
    assert forked.code == 0, forked.err
    assert orc("show", "latest", "--json", "--result", "all").json()["output"] == "one two "


def test_secrets_in_files_and_rows_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_CODE", "sesame-open-1234")
    write_notes(a="the code is sesame-open-1234\n")
    write_rows({"a": "sesame-open-1234"})
    spec = """\
project: hidden
secrets: [DOOR_CODE]
inputs:
  notes: {type: files, default: "notes/*.md"}
  rows: {type: table, default: rows.jsonl}
steps:
  each: {for_each: "${{ inputs.notes }}", value: "${{ item.text }}"}
  row: {for_each: "${{ inputs.rows }}", value: "${{ item.text }}"}
  opens: {run: "true"}
"""
    job = submit(spec)
    assert b"sesame-open" not in Path("runs.db").read_bytes()
    assert orc("show", job, "--json", "--result", "each").json()["output"] == [
        "the code is [secret DOOR_CODE]\n"
    ]
    assert "sesame" not in Path("runs", job, "inputs", "notes", "a.md").read_text()
    said = orc("resume", job, "--spec", "spec.yaml")
    assert said.code == 0
    assert "0 keep" not in said.err
    assert not any(found["type"] == "job.amended" for found in events_of(job))


def test_a_plain_resume_says_that_a_file_has_changed_and_goes_on_without_it() -> None:
    write_rows({"a": "x", "b": "y"})
    write_notes(n="one")
    spec = (SPEC + "  end: {value: 1}\n").replace(
        "inputs: {", 'inputs: {notes: {type: files, default: "notes/*.md"}, '
    )
    job = submit(spec, "--until", "end")
    assert "has changed" not in orc("resume", job, "--only", "end").err
    write_rows({"a": "x", "b": "z"})
    said = orc("resume", job, "--only", "end").err
    assert "rows.jsonl (the input rows) has changed since the job read it" in said
    assert f"`orc resume {job} --spec spec.yaml` takes the new content" in said
    assert "notes/*.md" not in said
    write_notes(n="two")
    assert "notes/*.md (the input notes) has changed" in orc("resume", job).err
    assert orc("show", job, "--json", "--result", "each").json()["output"] == ["x", "y"]
    fresh = submit(spec, "--until", "end", "-i", "rows=rows.jsonl")
    write_rows({"a": "q"})
    said = orc("resume", fresh).err
    assert f"`orc resume {fresh} --spec spec.yaml -i rows=rows.jsonl` takes the new content" in said


AFTER_WORD = """\
project: word
inputs: {rows: {type: table, default: rows.jsonl}, word: {default: old}}
steps:
  word: {value: "${{ inputs.word }}"}
  each:
    for_each: ${{ inputs.rows }}
    key: ${{ item.key }}
    value: "${{ item.text }} ${{ steps.word.output }}"
"""


def test_an_item_that_has_not_run_since_its_step_before_did_runs_after_another_amendment() -> None:
    write_rows({"a": "x", "b": "y"})
    job = submit(AFTER_WORD)
    said = orc("resume", job, "--spec", "spec.yaml", "-i", "word=new", "--only", "word", "--quiet")
    assert said.code == 0, said.err
    write_rows({"a": "x", "b": "z"})
    amend(job, AFTER_WORD)
    assert orc("show", job, "--json", "--result", "each").json()["output"] == ["x new", "z new"]
