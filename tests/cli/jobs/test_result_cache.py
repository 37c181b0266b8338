"""`cache:` of commands and functions: equal work runs once, different work runs."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from tests.cli.command_line import orc, submit, write
from tests.projections.support import tamper

COUNTING = """\
project: counting
inputs: {word: {default: one}}
env: {LEVEL: low}
steps:
  text: {value: "${{ inputs.word }}", files: [{path: in.txt}]}
  count:
    needs: text
    run: echo x >> ../../../../runs.log; wc -c < counting_in; tr a-z A-Z < in.txt > out.txt
    cache: ledger
    files: [out.txt]
  after: {value: "${{ steps.count.output }} ${{ steps.count.files['out.txt'].content }}"}
""".replace("counting_in", "in.txt")


def times() -> int:
    """The number of times that the command has run."""
    path = Path("runs.log")
    return len(path.read_text().splitlines()) if path.exists() else 0


def how(job_id: str, step: str) -> list[str]:
    lines = orc("tail", job_id, "--step", step, "--json").lines()
    return [line["type"] for line in lines if line["type"].startswith("step.")]


def output(job_id: str, step: str) -> str | None:
    with sqlite3.connect("runs.db") as connection:
        query = "SELECT output FROM steps WHERE step_id = ?"
        value = connection.execute(query, (f"{job_id}/{step}",)).fetchone()[0]
    return None if value is None else str(value)


def test_equal_work_runs_once_in_the_whole_ledger() -> None:
    first, second = submit(COUNTING), submit(COUNTING)
    assert times() == 1
    assert how(first, "count") == ["step.started", "step.succeeded"]
    assert how(second, "count") == ["step.reused"]
    assert output(second, "after") == output(first, "after") == "3 ONE"
    assert (Path("runs") / second / "outputs/counting/out.txt").read_text() == "ONE"
    shown = orc("show", second)
    assert f"from {first} (cache)" in shown.out
    assert orc("verify").code == 0
    third = submit(COUNTING)
    assert f"from {first} (cache)" in orc("show", third).out, "who did the work, not who reused it"


def test_a_cache_hit_is_reported_during_the_run() -> None:
    first = submit(COUNTING)
    said = orc("run", "spec.yaml")
    assert f"count reused from {first} (cache)" in said.err
    assert "count started" not in said.err


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("default: one", "default: other"),
        ("LEVEL: low", "LEVEL: high"),
        ("wc -c", "wc -l"),
        ("files: [out.txt]", 'files: ["*.txt"]'),
        ("cache: ledger", "cache: job"),
        ("    cache: ledger\n", ""),
        ("project: counting", "project: other"),
    ],
)
def test_different_work_runs(old: str, new: str) -> None:
    submit(COUNTING)
    assert old in COUNTING
    submit(COUNTING.replace(old, new))
    assert times() == 2


def test_the_same_work_under_other_limits_is_not_done_again() -> None:
    submit(COUNTING)
    submit(COUNTING.replace("cache: ledger", "cache: ledger\n    timeout: 1m\n    retry: 2"))
    assert times() == 1


def test_the_cache_of_the_job_and_of_defaults_is_not_that_of_a_command() -> None:
    own = COUNTING.replace("    cache: ledger\n", "")
    for text in (own, own, f"cache: ledger\ndefaults: {{cache: ledger}}\n{own}"):
        submit(text)
    assert times() == 3


def test_a_script_beside_the_spec_is_part_of_the_work() -> None:
    spec = "project: p\nsteps:\n  a: {run: 'sh \"$ORC_SPEC_DIR\"/tool.sh', cache: ledger}\n"
    write("tool.sh", "echo one")
    submit(spec)
    write("tool.sh", "echo two")
    second = submit(spec)
    assert output(second, "a") == "two"
    assert how(submit(spec), "a") == ["step.reused"]


def test_the_source_of_a_function_is_part_of_its_work() -> None:
    spec = "project: p\nsteps:\n  a: {python: 'tools:tell', args: {n: 1}, cache: ledger}\n"
    write("tools.py", "def tell(n): return n")
    first, again = submit(spec), submit(spec)
    assert how(again, "a") == ["step.reused"]
    write("tools.py", "def tell(n): return n + 1")
    second = submit(spec)
    assert (output(first, "a"), output(second, "a")) == ("1", "2")
    assert how(submit(spec.replace("n: 1", "n: 5")), "a") == ["step.started", "step.succeeded"]


FAILING_ONCE = """\
project: p
steps:
  a:
    run: test -e "$ORC_SPEC_DIR/"there
    cache: ledger
"""


def test_a_failure_is_never_reused() -> None:
    assert orc("run", write("spec.yaml", FAILING_ONCE)).code == 1
    write("there", "")
    assert how(submit(FAILING_ONCE), "a") == ["step.started", "step.succeeded"]


def test_a_result_with_removed_blobs_is_not_reused() -> None:
    first = submit(COUNTING)
    tamper(
        Path("runs.db"),
        "DELETE FROM blobs WHERE sha256 = (SELECT sha256 FROM files "
        f"WHERE job_id = '{first}' AND path LIKE '%out.txt')",
    )
    assert how(submit(COUNTING), "count") == ["step.started", "step.succeeded"]


def test_a_result_whose_file_another_step_has_written_is_not_taken() -> None:
    b = "  b: {run: 'echo 1 > x.txt', cache: ledger, files: [x.txt]}\n"
    first = submit(f"project: p\nsteps:\n{b}")
    assert how(submit(f"project: p\nsteps:\n{b}"), "b") == ["step.reused"]
    a = "  a: {run: 'echo 1 > x.txt', files: ['*.txt']}\n"
    said = orc("run", write("spec.yaml", f"project: p\nconcurrency: 1\nsteps:\n{a}{b}"), "--json")
    job_id = said.lines()[0]["job_id"]
    assert how(first, "b") == ["step.started", "step.succeeded"]
    assert how(job_id, "b") == ["step.started", "step.failed"]
    (failure,) = said.lines()[-1]["failures"]
    assert (failure["step"], failure["kind"]) == ("b", "path")
    assert "p/x.txt was already written by step 'a'" in failure["message"]
    assert [line["step"] for line in orc("show", job_id, "-f", "--json").lines()] == ["a"]


def test_hundreds_of_hits_go_through_in_one_run() -> None:
    steps = "".join(
        f"  s{n}: {{run: 'echo {n}', cache: ledger, needs: [{f's{n - 1}' if n % 20 else ''}]}}\n"
        for n in range(200)
    )
    spec = f"project: many\nconcurrency: 16\nsteps:\n{steps}"
    first = submit(spec)
    second = submit(spec)
    assert orc("show", second, "--json").json()["steps_succeeded"] == 200
    lines = orc("tail", second, "--json").lines()
    assert sum(line["type"] == "step.reused" for line in lines) == 200
    assert orc("verify", first).code == 0


def test_rebuilt_tables_of_a_ledger_with_hits_are_the_same() -> None:
    submit(COUNTING)
    submit(COUNTING)

    def rows() -> list[str]:
        with sqlite3.connect("runs.db") as connection:
            return [
                repr(connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall())
                for table in ("jobs", "steps", "attempts", "files")
            ]

    before = rows()
    assert orc("rebuild").code == 0
    assert rows() == before


def test_a_replay_does_the_work_again() -> None:
    submit(COUNTING)
    submit(COUNTING)
    said = orc("replay", "latest")
    assert said.code == 0, said.err
    assert times() == 2


def test_the_key_is_computed_of_values_that_are_committed() -> None:
    spec = """\
project: large
steps:
  first: {run: seq 1000 1999}
  size: {run: 'printf %s "${{ steps.first.output }}" | wc -c', cache: job}
  each:
    for_each: ["${{ steps.first.output }}", "${{ steps.first.output }}"]
    run: 'printf %s "${{ item }}" | wc -c'
    cache: job
"""
    job_id = submit(spec)
    assert [output(job_id, name) for name in ("size", "each[0]", "each[1]")] == ["4999"] * 3


def test_a_source_that_cannot_be_read_for_lack_of_descriptors_is_not_left_out_of_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = (
        "project: sources\n"
        'steps: {a: {run: "echo x >> ../../../../runs.log; : $ORC_SPEC_DIR/data", cache: ledger}}\n'
    )
    submit(spec)
    write("data", "text")
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "data":
            raise OSError(errno.EMFILE, "Too many open files")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    submit(spec)
    assert times() == 2
