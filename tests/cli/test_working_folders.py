"""Working folders as the command line shows them: who made a file, and where a model's tools work."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command_line import orc, submit, write

PARALLEL = """\
project: parallel
concurrency: 2
steps:
  alpha:
    run: "echo a > alpha.md; for i in 1 2 3 4 5; do sleep 0.05; done"
    files: ["*.md"]
  beta:
    run: "echo b > beta.md; for i in 1 2 3 4 5; do sleep 0.05; done"
    files: ["*.md"]
"""


def test_blame_names_the_step_that_made_a_file_also_if_another_step_had_the_same_pattern() -> None:
    job = submit(PARALLEL)

    for step in ("alpha", "beta"):
        said = orc("blame", f"{step}.md", "--job", job, "--json")
        assert said.code == 0, said.err
        assert said.json()["made"]["step"] == step
        assert f"was written by step {step}, " in orc("blame", f"{step}.md", "--job", job).out


def test_the_program_of_a_model_works_in_a_private_folder_with_the_files_before_it(
    here: Path,
) -> None:
    look = "pwd; ls; cat before.txt; echo scratch > scratch.txt; echo forged > before.txt"
    write(
        "spec.yaml",
        """\
project: tools
provider: replay
concurrency: 1
steps:
  before: {run: "echo before > before.txt", files: ["*.txt"]}
  apart: {run: "echo apart > apart.txt", files: ["*.txt"]}
  ask:
    needs: before
    prompt: Look.
    tools: [{builtin: run_command, allow: [sh]}, read_file, write_file, list_files]
    files: [{path: answer.txt}]
  after: {needs: [ask, apart], run: "ls; cat before.txt note.txt"}
""",
    )

    def turn(name: str, **arguments: object) -> dict[str, object]:
        call = {"id": f"{name}-{len(arguments)}", "name": name, "arguments": arguments}
        return {"text": "", "tool_calls": [call], "finish_reason": "tool_calls"}

    replies = [
        turn("write_file", path="note.txt", content="a note\n"),
        turn("run_command", argv=["sh", "-c", look]),
        turn("run_command", argv=["sh", "-c", "ls; cat note.txt"]),
        turn("list_files"),
        turn("read_file", path="apart.txt"),
        {"text": "done"},
    ]
    write("spec.replay.yaml", json.dumps({"version": 1, "replies": {"ask": replies}}))

    said = orc("run", "spec.yaml", "--json")

    assert said.code == 0, (said.out[-2000:], said.err)
    job = said.lines()[0]["job_id"]
    events = orc("show", job, "--events", "--json").lines()
    results = [event["result"]["value"] for event in events if event["type"] == "tool.returned"]
    folder = here / "runs" / job / "work" / "ask.1"
    assert results[1]["output"].split() == [str(folder), "before.txt", "note.txt", "before"]
    assert results[2]["output"].split() == ["before.txt", "note.txt", "scratch.txt", "a", "note"]
    assert {file["path"] for file in results[3]["files"]} == {
        "before.txt",
        "note.txt",
        "scratch.txt",
    }
    assert "there is no file 'apart.txt'" in results[4]
    assert not folder.exists()
    files = {file["path"]: file for file in orc("show", job, "--files", "--json").lines()}
    assert set(files) == {f"tools/{name}.txt" for name in ("before", "apart", "note", "answer")}
    log = Path("runs", job, "logs", "after.1.log").read_text()
    assert log.split() == [
        "answer.txt",
        "apart.txt",
        "before.txt",
        "note.txt",
        "before",
        "a",
        "note",
    ]
