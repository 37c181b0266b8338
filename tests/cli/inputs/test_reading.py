"""Inputs that are files and tables: what is read, what steps get, and what is refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

import orc as orc_api
from orc.cli.terminal.ask_inputs import ask_for
from orc.projections.folder.manifest import render_manifest
from orc.scheduler.core.spec.input_spec import InputSpec
from tests.cli.command_line import orc

CSV = 'question;answer\nWhat is 1+1?;2\n"Two; three?";3\n'
ALL = """\
project: read
inputs:
  notes: {type: files, default: "notes/**/*.md"}
  questions: {type: table, default: questions.csv, columns: {answer: integer}}
  logo: {type: file, default: notes/a.md}
steps:
  each: {for_each: "${{ inputs.notes }}", value: "${{ item.path }}=${{ item.text | trim }}"}
  rows:
    for_each: ${{ inputs.questions }}
    key: q${{ item.answer }}
    value: ${{ item.answer + 1 }}
  sum: {value: "${{ inputs.questions | length }} ${{ inputs.logo.stem }}
      ${{ inputs.notes | join('', attribute='text') }}"}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes" / "sub").mkdir(parents=True)
    (tmp_path / "notes" / "a.md").write_text("first\n")
    (tmp_path / "notes" / "sub" / "b.md").write_text("second\n")
    (tmp_path / "notes" / ".hidden.md").write_text("no\n")
    (tmp_path / "notes" / "link.md").symlink_to("a.md")
    (tmp_path / "questions.csv").write_text(CSV)
    return tmp_path


def result(step: str) -> Any:
    said = orc("show", "latest", "--json", "--result", step)
    assert said.code == 0, said.err
    return said.json()["output"]


def run(spec: str, *options: str) -> Any:
    Path("spec.yaml").write_text(spec if "project:" in spec else f"project: read\n{spec}")
    return orc("run", "spec.yaml", "--quiet", *options)


def test_files_and_tables_are_values_of_templates(folder: Path) -> None:
    said = run(ALL)
    assert said.code == 0, said.err
    assert result("each") == ["a.md=first", "sub/b.md=second"]
    assert result("rows") == [3, 4]
    assert result("sum") == "2 a first\nsecond\n"


def test_what_was_read_is_said(folder: Path) -> None:
    Path("spec.yaml").write_text(ALL)
    said = orc("run", "spec.yaml")
    assert "questions.csv: 2 rows, 2 columns (semicolon, UTF-8)" in said.err
    assert "notes/**/*.md: 2 files" in said.err


def test_the_files_are_published_and_verified(folder: Path) -> None:
    assert run(ALL).code == 0
    (job,) = (folder / "runs").iterdir()
    assert (job / "inputs" / "notes" / "sub" / "b.md").read_text() == "second\n"
    assert (job / "inputs" / "questions" / "questions.csv").read_text() == CSV
    assert orc("verify").code == 0
    (job / "inputs" / "notes" / "a.md").write_text("changed")
    assert orc("verify").code != 0


def test_a_command_gets_the_files_that_it_names_and_an_item_only_its_own(folder: Path) -> None:
    spec = """\
project: commands
inputs:
  notes: {type: files, default: "notes/**/*.md"}
  questions: {type: table, default: questions.csv}
steps:
  item:
    for_each: ${{ inputs.notes }}
    run: cat "$ORC_INPUTS"/notes/${{ item.path }}; find "$ORC_INPUTS"/notes -type f | wc -l
  named: {run: 'cd "$ORC_INPUTS" && find . -type f | sort && cat questions/questions.csv'}
  one: {run: 'cd "$ORC_INPUTS/questions"; find .. -type f | wc -l'}
  none: {run: 'ls -A "$ORC_WORK_DIR" | wc -l'}
"""
    said = run(spec)
    assert said.code == 0, said.err
    assert [text.split() for text in result("item")] == [["first", "1"], ["second", "1"]]
    assert result("named").startswith("./notes/a.md\n./notes/sub/b.md\n./questions/questions.csv\n")
    assert result("one").strip() == "1"
    assert result("none").strip() == "0"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        ("a,b\n", "the table has no rows"),
        ("a,a\n1,2\n", "two columns have the name 'a'"),
        ("a,,b\n1,2,3\n", "column 2 has no name"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, and line 1 has 2 columns"),
        ('a,b\n1,"2\n3,4\n', "line 2: its quote is never closed"),
        ("a\0b,c\n", "NUL bytes"),
        ("PK\x03\x04rest", "a spreadsheet, not text; export it as CSV"),
        ('{\n"a": 1}\n', "it looks like JSON"),
        ("<!DOCTYPE html>\n<p>", "it is a page (HTML or XML), not CSV"),
        (b"a,b\n1,\xe9\n", "line 2 is not UTF-8 text; save the file as UTF-8"),
    ],
)
def test_an_invalid_csv_is_refused_with_its_place(
    folder: Path, content: str | bytes, said: str
) -> None:
    (folder / "questions.csv").write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    found = run("inputs: {t: {type: table, default: questions.csv}}\nsteps: {a: {value: 1}}\n")
    assert found.code == 2
    assert said in " ".join(found.err.split())
    assert "questions.csv" in found.err
    assert not (folder / "runs.db").exists()


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("none/*.md", "No such file or directory; make it, or name another path"),
        ("notes/*.txt", "matches no file in"),
        ("link*.md", "matches no file in"),
        ("notes/l*.md", "links are not followed (link.md)"),
        ("notes", "is a folder; write"),
        (".", "is a folder; write"),
        ("..", "is a folder; write"),
        ("/", "/ is a folder; write /* for the files in it"),
        ("gone.md", "No such file"),
        ("pipe", "is not a regular file"),
        ("/dev/null", "is not a regular file"),
        ("loop", "symbolic links"),
        ("$HOME/x", "is not replaced in a path"),
        ("bad*", "is not UTF-8 text; rename the file"),
    ],
)
def test_files_that_cannot_be_read_are_refused_with_their_place(
    folder: Path, pattern: str, said: str
) -> None:
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    Path(os.fsdecode(b"bad\xff")).write_text("x")
    found = run(
        f"inputs: {{f: {{type: files, default: '{pattern}'}}}}\nsteps: {{a: {{value: 1}}}}\n"
    )
    assert found.code == 2
    assert said in " ".join(found.err.split())
    assert "inputs.f" in found.err
    assert not (folder / "runs.db").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("item.qestion", "has no 'qestion'; it has: question, answer; did you mean 'question'?"),
        ("item.text", "a row of questions.csv (the input t) has no 'text'"),
        ("inputs.f.txt", "a file has no 'txt'; it has: path, name, stem, text, sha256"),
    ],
)
def test_an_unknown_column_is_refused_before_there_is_a_job(
    folder: Path, text: str, said: str
) -> None:
    spec = """\
inputs:
  t: {type: table, default: questions.csv}
  f: {type: file, default: notes/a.md}
steps: {a: {for_each: "${{ inputs.t }}", value: "${{ TEXT }}"}}
"""
    found = run(spec.replace("TEXT", text))
    assert found.code == 2
    assert said in " ".join(found.err.split())
    assert not (folder / "runs.db").exists()
    assert run(spec.replace("TEXT", f"{text} | default('')")).code == 0


def test_values_come_from_options_files_and_programs(folder: Path) -> None:
    spec = """\
project: given
inputs: {t: {type: table}, f: {type: files, required: false, allow_empty: true}}
steps: {a: {value: "${{ inputs.t }}"}, b: {value: "${{ inputs.f | map(attribute='path') }}"}}
""".replace(" | map(attribute='path')", "")
    rows = [{"question": "What is 1+1?", "answer": "2"}, {"question": "Two; three?", "answer": "3"}]
    assert run(spec, "-i", "t=questions.csv", "-i", 'f=["notes/a.md", "notes/sub/*"]').code == 0
    assert result("a") == rows
    assert [file["path"] for file in result("b")] == ["a.md", "sub/b.md"]
    assert run(spec, "-i", 't=[{"x": 1}]').code == 0
    assert result("a") == [{"x": 1}]
    Path("other").mkdir()
    Path("other", "values.yaml").write_text("t: ../questions.csv\n")
    assert run(spec, "--inputs", "other/values.yaml").code == 0
    assert result("a") == rows
    given: dict[str, Any] = {"t": [{"x": 1}], "f": Path("notes/a.md")}
    assert orc_api.run("spec.yaml", inputs=given, db="runs.db").status == "succeeded"
    assert [file["path"] for file in result("b")] == ["a.md"]
    said = run(spec, "-i", 't=[{"x": 1, "x": 2}]')
    assert (said.code, "inputs.t: is not JSON: a key appears twice" in said.err) == (2, True)
    said = run(spec, "-i", "t=[1]")
    assert said.code == 2
    assert "must be the path of a table's file, or a list of mappings" in said.err


def test_a_path_that_cannot_be_read_is_asked_for_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("gone.csv\nquestions.csv\n"))
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    found = ask_for({"t": InputSpec(type="table")}, {})
    assert found == {"t": "questions.csv"}
    said = screen.getvalue()
    assert "t (table): " in said
    assert "cannot read" in said


def test_a_workflow_gets_files_and_reads_its_own(folder: Path) -> None:
    Path("inner").mkdir()
    Path("inner", "own.csv").write_text("n\n1\n")
    Path("inner", "flow.yaml").write_text("""\
project: inner
inputs:
  docs: {type: files}
  own: {type: table, default: own.csv}
steps:
  each: {for_each: "${{ inputs.docs }}", run: 'cat "$ORC_INPUTS"/docs/${{ item.path }}'}
  texts: {for_each: "${{ inputs.docs }}", value: "${{ item.text }}"}
  table: {value: "${{ inputs.own[0].n }}", needs: each}
  file: {run: 'cat "$ORC_INPUTS"/own/own.csv'}
""")
    said = run("""\
inputs: {notes: {type: files, default: "notes/**"}}
steps:
  passed: {workflow: inner/flow.yaml, with: {docs: "${{ inputs.notes }}"}}
  named: {workflow: inner/flow.yaml, with: {docs: notes/a.md}}
""")
    assert said.code == 0, said.err
    texts = ["first\n", "second\n"]
    rest = {"table": "1", "file": "n\n1"}
    each = [text.strip() for text in texts]
    assert result("passed") == {"each": each, "texts": texts, **rest}
    assert result("named")["texts"] == texts[:1]
    assert orc("verify").code == 0


def test_blame_leads_to_the_file_and_the_row(folder: Path) -> None:
    said = run("""\
inputs:
  notes: {type: files, default: "notes/**"}
  t: {type: table, default: questions.csv}
steps:
  file: {for_each: "${{ inputs.notes }}", value: x, files: [{path: "${{ item.stem }}.txt"}]}
  row: {for_each: "${{ inputs.t }}", value: x, files: [{path: "q${{ item.answer }}.txt"}]}
""")
    assert said.code == 0, said.err
    assert "sub/b.md of notes/** (the input notes)" in orc("blame", "b.txt").out
    assert "row 2 of questions.csv (the input t)" in orc("blame", "q3.txt").out
    (source,) = orc("blame", "q3.txt", "--json").json()["inputs"]
    assert (source["row"], source["path"]) == (2, "questions.csv")


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("inputs.t | length", ["t"]),
        ("inputs['t'][0].answer ~ inputs.notes | length", ["notes", "t"]),
        ('inputs[ "t" ] | length', ["t"]),
        ("inputs.table ~ inputs.t2", []),
        ("'inputs.t' ~ 1", ["t"]),
    ],
)
def test_blame_names_the_inputs_of_a_value(folder: Path, template: str, named: list[str]) -> None:
    said = run(f"""\
inputs:
  notes: {{type: files, default: "notes/**"}}
  t: {{type: table, default: questions.csv}}
  t2: {{default: x}}
  table: {{default: x}}
steps:
  one: {{value: {json.dumps("x ${{ " + template + " }}")}, files: [{{path: v.txt}}]}}
""")
    assert said.code == 0, said.err
    sources = orc("blame", "v.txt", "--json").json()["inputs"]
    assert [source["name"] for source in sources] == named


def test_the_manifest_lists_the_files_of_inputs(folder: Path) -> None:
    run("""\
inputs:
  notes: {type: files, default: "notes/**"}
  t: {type: table, default: questions.csv}
steps: {one: {value: x}}
""")
    (path,) = Path("runs").glob("job_*/manifest.json")
    manifest = json.loads(path.read_text())
    content = Path("questions.csv").read_bytes()
    assert manifest["inputs"][-1] == {
        "name": "t",
        "path": "questions.csv",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
    }
    assert [(each["name"], each["path"]) for each in manifest["inputs"][:-1]] == [
        ("notes", "a.md"),
        ("notes", "sub/b.md"),
    ]
    del manifest["inputs"]
    path.write_bytes(render_manifest(manifest))
    assert orc("verify").code == 0, "as an older version wrote it"
    path.write_bytes(render_manifest({**manifest, "inputs": []}))
    assert orc("verify").code == 5


def test_a_plan_reads_the_files(folder: Path) -> None:
    Path("spec.yaml").write_text(ALL)
    assert orc("plan", "spec.yaml").code == 0
    assert run(ALL).code == 0
    Path("questions.csv").write_text(CSV + "More?;4\n")
    said = orc("plan", "spec.yaml")
    assert "changed: inputs.questions" in said.out


def test_a_file_over_the_limit_is_refused(folder: Path) -> None:
    found = run(
        "inputs: {f: {type: file, default: questions.csv, max_size: 10}}\nsteps: {a: {value: 1}}\n"
    )
    assert found.code == 2
    assert "set `max_size` of the input" in " ".join(found.err.split())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "q,n\nä,1\nb,2\n".encode("utf-16")),
        ("t.csv", b"\xef\xbb\xbf" + "q|n\r\nä|1\r\n\r\nb|2\r\n".encode()),
        ("t.tsv", "q\tn\nä\t1\nb\t2".encode()),
        ("t.jsonl", '{"q": "ä", "n": 1}\n\n{"q": "b", "n": 2}\n'.encode()),
        ("t.json", '[{"q": "ä", "n": 1}, {"q": "b", "n": 2}]'.encode()),
        ("t.yaml", "- {q: ä, n: 1}\n- {q: b, n: 2}\n".encode()),
    ],
)
def test_each_format_and_encoding_gives_the_same_rows(
    folder: Path, name: str, content: bytes
) -> None:
    Path(name).write_bytes(content)
    said = run(
        f"inputs: {{t: {{type: table, default: {name}, columns: {{n: integer}}}}}}\n"
        'steps: {a: {value: "${{ inputs.t }}"}}\n'
    )
    assert said.code == 0, said.err
    assert result("a") == [{"q": "ä", "n": 1}, {"q": "b", "n": 2}]
