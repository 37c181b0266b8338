"""After an amendment, exactly the items run again whose work is not that of before.

Also where the list, or what an item reads, comes from steps that run again.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.cli.command_line import orc, submit, work_in
from tests.cli.inputs.test_amended import amend, ran_and_kept

JUDGED = """\
project: judged
inputs: {rows: {type: table, default: rows.jsonl, allow_empty: true}}
steps:
  answer:
    for_each: ${{ inputs.rows }}
    key: ${{ item.key }}
    run: [echo, "${{ item.text }}"]
    score: {long: "${{ output | length }}"}
  judge:
    for_each: ${{ steps.answer.items }}
    key: ${{ item.key }}
    value: "${{ item.output }} is judged"
    score: {good: {value: "${{ output | length }}", of: "${{ item.step }}"}}
  parts:
    needs: [answer]
    steps:
      list: {value: "${{ steps.answer.items | map(attribute='output') | list }}"}
      each:
        for_each: ${{ steps.list.output }}
        key: "n${{ each.index }}"
        as: text
        steps:
          first: {value: "${{ text }}!"}
          second: {value: "${{ steps.first.output }}?"}
"""

Rows = dict[str, str]
ROWS = st.dictionaries(st.sampled_from("abcde"), st.sampled_from("xyz"), max_size=5)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in(tmp_path, monkeypatch)


def write_rows(rows: Rows) -> None:
    lines = (json.dumps({"key": key, "text": text}) + "\n" for key, text in rows.items())
    Path("rows.jsonl").write_text("".join(lines))


def work_of(rows: Rows) -> dict[str, str]:
    """What each step inside does, from the rows alone: the model that the job is compared with."""
    found: dict[str, str] = {}
    for number, (key, text) in enumerate(rows.items()):
        found |= {f"answer[{key}]": text, f"judge[{key}]": text}
        found |= {f"parts/each[n{number}]/{name}": text for name in ("first", "second")}
    return found


@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(ROWS, ROWS)
def test_exactly_the_items_with_other_work_run_again(before: Rows, after: Rows) -> None:
    if list(before.items()) == list(after.items()):
        return
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patches:
        work_in(Path(folder), patches)
        write_rows(before)
        job = submit(JUDGED)
        write_rows(after)
        amend(job, JUDGED)
        known, wanted = work_of(before), work_of(after)
        ran, kept = ran_and_kept(job)
        # A group is gathered again, also if its members keep their results.
        ran = {name for name in ran if not name.endswith("]") or not name.startswith("parts")}
        assert ran == {name for name, work in wanted.items() if known.get(name) != work}
        assert kept == wanted.keys() - ran
        assert orc("verify", job).code == 0
        scored = orc("scores", job, "--by", "step", "--json").json()["groups"]
        assert {one["n"] for one in scored} <= {len(after)}


def items_that_ran(job: str) -> set[str]:
    return ran_and_kept(job)[0]


LISTED = """\
project: listed
steps:
  words: {run: [cat, words.json], output: {format: json}, cwd: spec}
  files: {run: 'cp "$ORC_SPEC_DIR"/note.txt note.txt', files: [note.txt]}
  each:
    needs: [files]
    for_each: ${{ steps.words.output.words }}
    run: 'cat note.txt; echo ${{ item }} ${{ steps.words.output.tail }}'
  place:
    for_each: ${{ steps.words.output.words }}
    key: ${{ item }}
    value: ${{ each.index }} ${{ item }}
"""


def given_words(*words: str, tail: str = "t") -> None:
    Path("words.json").write_text(json.dumps({"words": words, "tail": tail}))


def rerun(job: str, *steps: str) -> set[str]:
    said = orc("rerun", job, *(f"--step={step}" for step in steps), "--quiet")
    assert said.code == 0, said.err
    return items_that_ran(job)


def test_items_of_a_list_from_a_step_that_runs_again_keep_their_results() -> None:
    Path("note.txt").write_text("one")
    given_words("a", "b")
    job = submit(LISTED)
    given_words("a", "c", "d")
    assert rerun(job, "words") == {"each[1]", "each[2]", "place[c]", "place[d]"}
    given_words("c", "a", "d")
    # What tells its place runs again if that is another one.
    assert rerun(job, "words") == {"each[0]", "each[1]", "place[c]", "place[a]"}
    given_words("c", "a", "d", tail="other")
    assert rerun(job, "words") == {"each[0]", "each[1]", "each[2]"}
    Path("note.txt").write_text("two")
    assert rerun(job, "files") == {"each[0]", "each[1]", "each[2]"}
    assert rerun(job, "files") == set()
    assert rerun(job, "each") == {"each[0]", "each[1]", "each[2]"}
    assert orc("verify", job).code == 0


def test_a_resume_of_a_resume_keeps_what_is_left() -> None:
    spec = LISTED.replace(
        "run: 'cat note.txt;", 'run: \'test -e "$ORC_SPEC_DIR"/go || exit 3; cat note.txt;'
    )
    Path("note.txt").write_text("one")
    Path("go").write_text("")
    given_words("a", "b", "c")
    job = submit(spec)
    Path("go").unlink()
    given_words("a", "x", "c")
    assert orc("rerun", job, "--step", "words", "--quiet").code == 1
    Path("go").write_text("")
    assert orc("resume", job, "--quiet").code == 0
    ran, kept = ran_and_kept(job)
    assert {name for name in ran if name.startswith("each")} == {"each[1]"}
    assert {"each[0]", "each[2]"} <= kept
