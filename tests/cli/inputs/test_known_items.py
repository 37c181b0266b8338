"""What is wrong with items that are known is found before a job exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import orc, work_in, write

SPEC = """\
project: known
inputs:
  rows: {type: table, default: rows.csv}
  names: {type: list, default: [a, b]}
  notes: {type: files, default: "*.md"}
steps:
  each:
    for_each: LIST
    key: KEY
    value: 1
    if: COND
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    work_in(tmp_path, monkeypatch)
    write("rows.csv", "question,id\nwhy,1\nhow,2\nwhy,3\n")
    write("a.md", "same")
    write("b.md", "same")
    return tmp_path


def spec(items: str, key: str, condition: str = "true") -> Path:
    text = SPEC.replace("LIST", items).replace("KEY", key).replace("COND", condition)
    return write("spec.yaml", text)


@pytest.mark.parametrize(
    ("items", "key", "said"),
    [
        ("[{k: 1}, {k: 1}]", "${{ item.k }}", "items 0 and 1 have the same key '1'"),
        ("${{ inputs.rows }}", "${{ item.question }}", "items 0 and 2 have the same key 'why'"),
        ("${{ inputs.names }}", "x${{ item | length }}", "items 0 and 1 have the same key 'x1'"),
        ("${{ inputs.notes }}", "${{ item.size_bytes }}", "items 0 and 1 have the same key '4'"),
        ("['', b]", "${{ item }}", "the key of item 0 is empty"),
    ],
)
@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_keys_that_cannot_be_are_found_before_the_job(
    command: str, items: str, key: str, said: str
) -> None:
    found = orc(command, spec(items, key))
    assert found.code == 2
    assert f"steps.each.key: {said}" in found.out + found.err
    assert not Path("runs").exists()


def test_keys_that_are_not_known_or_not_used_are_left_to_the_run() -> None:
    assert orc("validate", spec("[a, a]", "${{ item }}", "${{ inputs.names == [] }}")).code == 0
    assert orc("validate", spec("[a, a]", "${{ item }}-${{ each.index }}")).code == 0
    assert orc("validate", spec("${{ inputs.rows }}", "${{ item.id }}")).code == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "matrix.case.questoin",
            "has no 'questoin'; it has: question, id; did you mean 'question'",
        ),
        ("matrix.note.txt", "a file has no 'txt'"),
    ],
)
def test_a_column_of_a_table_in_a_matrix_must_be_there(name: str, said: str) -> None:
    text = SPEC.replace(
        "for_each: LIST\n    key: KEY\n    value: 1\n    if: COND",
        'matrix: {case: "${{ inputs.rows }}", note: "${{ inputs.notes }}"}\n    value: ${{ NAME }}',
    )
    found = orc("validate", write("spec.yaml", text.replace("NAME", name)))
    assert found.code == 2
    assert said in found.out + found.err
    fine = text.replace("NAME", "matrix.case.question ~ matrix.note.name")
    assert orc("validate", write("spec.yaml", fine)).code == 0
