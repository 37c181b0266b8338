"""`orc scores`: the scores of a job in groups, two jobs compared, and checks for CI."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

import orc as orc_api
from orc.projections.charts.project import read_project
from tests.cli.command_line import orc, submit, work_in, write

SPEC = """\
project: eval
tags: [nightly]
steps:
  answer:
    matrix:
      model: [small, large]
      case: [{q: a, right: A}, {q: b, right: B}, {q: c, right: C}]
    repeat: 2
    value: ${{ matrix.case.q if matrix.model == 'small' else matrix.case.right }}
    score:
      exact: ${{ output == matrix.case.right }}
      length: {value: "${{ output | length + repetition }}", why: "it is ${{ output }}"}
      broken: ${{ output.nothing }}
  judge:
    needs: [answer]
    for_each: [0, 1]
    value: {grade: 7}
    score:
      quality: {value: "${{ output.grade }}", of: "answer[${{ item }}]"}
      lost: {value: "${{ 1 }}", of: "answer[${{ item + 100 }}]"}
"""


@pytest.fixture
def job() -> str:
    write("eval.yaml", SPEC)
    return run("eval.yaml")


def run(spec: str) -> str:
    done = orc("run", spec, "--json").lines()[-1]
    assert done["status"] == "succeeded", "a broken score fails no step"
    return str(done["job_id"])


def groups(*arguments: str) -> dict[tuple[Any, ...], Any]:
    found = orc("scores", *arguments, "--json").json()
    return {(group["score"], *group.get("by", {}).values()): group for group in found["groups"]}


def test_scores_are_grouped_by_model_without_being_told(job: str) -> None:
    found = groups(job)
    assert found["exact", "small"]["mean"] == 0
    assert found["exact", "large"]["pass_rate"] == 1
    assert found["length", "small"]["mean"] == 2.5
    assert (found["length", "small"]["n"], found["length", "small"]["cases"]) == (6, 3)
    assert found["length", "small"]["error"] == 0, "equal in each case: repetitions are clustered"
    assert (found["broken", "small"]["n"], found["broken", "small"]["errors"]) == (0, 6)
    assert (found["quality", "small"]["who"], found["quality", "small"]["n"]) == ("judge", 2)


def test_a_case_alone_has_the_variance_of_its_repetitions(job: str) -> None:
    found = orc("scores", job, "--by", "model,case", "--json").json()
    lengths = [group for group in found["groups"] if group["score"] == "length"]
    assert [(group["n"], group["error"]) for group in lengths] == [(2, 0.5)] * 6


def test_csv_has_a_line_for_each_group(job: str) -> None:
    said = orc("scores", job, "--by", "case,model", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    exact = [row for row in rows if row["score"] == "exact"]
    assert len(exact) == 6
    assert {(row["model"], row["mean"]) for row in exact} == {("small", "0.0"), ("large", "1.0")}


def test_broken_scores_are_said_with_the_first_of_them(job: str) -> None:
    said = orc("scores", job)
    assert said.code == 0
    assert "14 scores could not be computed; answer[0]: broken: " in said.err


def test_a_judge_that_names_no_step_fails_its_own_score(job: str) -> None:
    said = orc("scores", job, "--by", "step,who", "--json").json()
    lost = next(group for group in said["groups"] if group["score"] == "lost")
    assert (lost["by"], lost["errors"]) == ({"step": "judge", "who": "expression"}, 2)


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["exact=0.5"], 0, ""),
        (["exact=0.6"], 1, "exact: the mean 0.5 is under 0.6"),
        (["exact=0.5", "--by", "model"], 1, "exact, model small: the mean 0 is under 0.5"),
        (["broken=0"], 1, "broken: there is no value, and it must be 0"),
        (["exact=0.9", "--fail-under", "exact=0.1"], 2, "exact has a limit already; give one"),
        (["exact=1_0"], 2, "--fail-under exact=1_0: must be SCORE=NUMBER"),
        (["exact=x"], 2, "--fail-under exact=x: must be SCORE=NUMBER, such as exact=0.9"),
        (["exat=1"], 2, "there is no score 'exat'; did you mean 'exact'?"),
    ],
)
def test_a_limit_that_is_not_reached_is_exit_code_1(
    job: str, options: list[str], code: int, reason: str
) -> None:
    said = orc("scores", job, "--fail-under", *options)
    assert (said.code, reason in said.err) == (code, True), said.err


def test_two_jobs_are_compared_case_by_case(job: str) -> None:
    worse = SPEC.replace(
        "matrix.case.right }}\n    score", "(matrix.case.right | lower) }}\n    score"
    )
    write("eval.yaml", worse)
    other = run("eval.yaml")

    found = orc("scores", job, other, "--json").json()
    exact = next(each for each in found["scores"] if each["score"] == "exact")
    assert (exact["before"]["mean"], exact["after"]["mean"]) == (0.5, 0.0)
    assert exact["difference"]["mean"] == -0.5
    assert (len(exact["regressions"]), len(exact["improvements"]), exact["equal"]) == (3, 0, 3)
    said = orc("scores", job, other, "--fail-on-regression")
    assert said.code == 1
    assert "exact: 3 cases got worse" in said.err
    assert "exact: 3 cases worse" in said.out
    assert orc("scores", job, other, "--fail-on-regression", "--tolerance", "1").code == 0
    better = orc("scores", other, job, "--fail-on-regression")
    assert (better.code, "exact: 3 cases better" in better.out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--by", "modl"], "did you mean 'model'?"),
        (["--format", "xls"], "--format: there is no 'xls'"),
        (["--fail-on-regression"], "--fail-on-regression: give two jobs"),
        (["latest", "--by", "model"], "--by: two jobs are compared case by case"),
        (["latest", "latest"], "give one job to see its scores, or two jobs to compare them"),
    ],
)
def test_a_wrong_option_is_named(job: str, arguments: list[str], reason: str) -> None:
    said = orc("scores", job, *arguments)
    assert (said.code, reason in said.err) == (2, True), said.err


REPEATED = """\
project: repeated
provider: replay
cache: job
steps:
  ask:
    repeat: 3
    prompt: say a number
    params: {seed: 5}
    score: {n: "${{ output | int }}", small: "${{ (output | int) < 3 }}"}
  end: {value: "${{ steps.ask.output }}"}
"""


def repeated() -> str:
    write("repeated.yaml", REPEATED)
    write(
        "repeated.replay.yaml",
        'version: 1\nreplies: {"ask[0]": ["1"], "ask[1]": ["2"], "ask[2]": ["3"]}\n',
    )
    return run("repeated.yaml")


def test_no_repetition_gets_the_reply_of_another_one_from_the_cache() -> None:
    found = groups(repeated())
    (n,) = [group for (name, *_), group in found.items() if name == "n"]
    assert (n["n"], n["mean"], round(n["error"], 4)) == (3, 2, 0.5774)


def test_a_fork_has_the_scores_of_the_items_that_it_took_over() -> None:
    job = repeated()
    for step in ("ask", "ask[0]"):
        assert orc("score", job, step, "taste=4").code == 0
    assert orc("fork", job, "--from", "end").code == 0
    assert groups("latest") == groups(job)


def test_numbers_in_csv_have_no_noise() -> None:
    value = "${{ [0.1, 0.2, 0.30000000000000004][item] }}"
    job = submit(
        f"project: p\nsteps: {{a: {{for_each: [0, 1, 2], value: 1, score: {{s: '{value}'}}}}}}\n"
    )
    for arguments in ((job,), (job, job)):
        said = orc("scores", *arguments, "--format", "csv")
        for row in list(csv.reader(io.StringIO(said.out)))[1:]:
            digits = [cell.replace(".", "").lstrip("0") for cell in row if "." in cell]
            assert all(len(each.partition("e")[0]) <= 10 for each in digits), row
    assert orc("scores", job, "--json").json()["groups"][0]["mean"] == (0.1 + 0.2 + (0.1 + 0.2)) / 3


@pytest.mark.parametrize("command", ["list", "cost", "scores", "search x"])
def test_a_tag_that_no_job_has_is_named(command: str) -> None:
    submit("{project: p, tags: [nightly], steps: {a: {value: 1}}}")
    said = orc(*command.split(), "--tag", "nightli")
    assert (said.code, said.out) == (0, "")
    assert "no job has the tag 'nightli'; did you mean" in said.err
    assert "no job has" not in orc(*command.split(), "--tag", "nightly").err


def test_every_view_of_a_fork_has_the_scores_that_it_took_over() -> None:
    job = repeated()
    for step in ("ask[0]", "ask[1]"):
        assert orc("score", job, step, "taste=4", "--why", "good").code == 0
    assert orc("fork", job, "--from", "end").code == 0
    # The first of the scores is given again, and counts once.
    assert orc("score", "latest", "ask[0]", "taste=6").code == 0
    (taste,) = [group for group in groups("latest").values() if group["score"] == "taste"]
    assert (taste["n"], taste["mean"]) == (2, 5)
    fork = orc("list", "--json").lines()[0]
    shown = orc("show", "latest", "--json").json()
    steps = {step["step"]: step["scores"] for step in shown["steps"]}
    for found in (fork["scores"], shown["scores"], steps["ask"]):
        assert {(mean["n"], mean["mean"]) for mean in found if mean["name"] == "taste"} == {(2, 5)}
    assert [mean["mean"] for mean in steps["ask[1]"] if mean["name"] == "taste"] == [4]
    assert "good" in orc("show", "latest", "ask[1]").out
    with closing(sqlite3.connect("runs.db")) as connection:
        means = {one.mean for one in read_project(connection, fork["project"]).by_model
                 if one.name == "taste" and one.job_id == fork["job_id"]}  # fmt: skip
    assert means == {5}


def test_a_result_costs_once_in_charts_and_nothing_if_a_part_is_unknown() -> None:
    usage = "{input_tokens: 1000, output_tokens: 100}"
    write(
        "spec.yaml",
        """
project: priced
provider: replay
steps:
  ask:
    matrix: {model: [known, partly-known], number: [0, 1]}
    model: ${{ matrix.model }}
    prompt: hi
    score: {own: "${{ 1 }}"}
  judge:
    for_each: ${{ steps.ask.items }}
    repeat: 3
    value: 1
    score: {judged: {value: "${{ repetition }}", of: "${{ item.step }}"}}
""",
    )
    replies = [f"  ask[{at}]: [{{text: a, model: {model}, usage: {usage}}}]"
               for at, model in enumerate(["gpt-4o-mini"] * 3 + ["nobody-knows-it"])]  # fmt: skip
    write("spec.replay.yaml", "\n".join(["version: 1", "replies:", *replies]))
    assert orc("run", "spec.yaml").code == 0
    with closing(sqlite3.connect("runs.db")) as connection:
        found = read_project(connection, "priced").by_model
    costs = {(one.name, one.model): (one.n, one.results, one.cost_nano_usd) for one in found}
    cost = costs["own", "known"][2]
    assert cost is not None
    assert costs["own", "known"] == (2, 2, cost)
    assert costs["judged", "known"] == (6, 2, cost)
    assert costs["own", "partly-known"] == (2, 2, None)


def test_a_false_score_fails_its_case_of_the_junit_report() -> None:
    job = repeated()
    assert orc("export", job, "--format", "junit", "--to", "report.xml").code == 0
    suite = ET.parse("report.xml").getroot()
    failed = {
        case.get("name"): failure.get("message")
        for case in suite.iter("testcase")
        for failure in case.iter("failure")
    }
    assert failed == {"ask[2]": "small (expression) is false"}
    assert suite.get("failures") == "1"


def test_lists_and_jobs_show_means(job: str) -> None:
    (listed,) = orc("list", "--json").lines()
    exact = listed["scores"][0]
    assert (exact["name"], exact["pass_rate"]) == ("exact", 0.5)
    assert "exact 50 %, length 2.5, +" in orc("list").out
    shown = orc("show", job, "--json").json()
    steps = {step["step"]: step["scores"] for step in shown["steps"]}
    assert steps["answer"][0]["n"] == 12, "with the items inside it"
    assert steps["answer[0]"][0]["mean"] == 0


def test_the_python_api_gives_groups(job: str) -> None:
    found = orc_api.job(job)
    by_model = {
        group.key: group.pass_rate for group in found.scores(by=["model"]) if group.name == "exact"
    }
    assert by_model == {("small",): 0.0, ("large",): 1.0}
    assert found.tags == ("nightly",)
    with pytest.raises(orc_api.UsageProblem, match="no dimension 'nothing'"):
        found.scores(by=["nothing"])
    assert found.scores(by="model") == found.scores(by=["model"])


def test_a_step_is_shown_with_its_scores(job: str) -> None:
    said = orc("show", job, "answer[0]")
    scores = said.out.partition("== Scores\n")[2]
    assert scores.splitlines()[:3] == ["exact  fail", "length  2", "  it is a"]
    assert "quality  7 (by judge judge[0])" in scores
    given = orc("show", job, "answer[0]", "--json").json()["scores_given"]
    assert [(one["name"], one["value"], one["who"]) for one in given[:2]] == [
        ("exact", False, "expression"),
        ("length", 2.0, "expression"),
    ]
    assert "SCORES" in orc("show", job, "answer").out


def test_groups_are_in_the_order_of_the_job_and_not_of_the_clock(here: Path) -> None:
    """The first item is scored last."""
    text = (
        "project: p\nsteps:\n  a:\n    matrix: {wait: ['0.3', '0']}\n    run: sleep ${{ matrix.wait }}\n"
        "    score: {ok: '${{ output == \"\" }}'}\n"
    )
    assert orc("run", write("waits.yaml", text)).code == 0
    groups = orc("scores", "latest", "--by", "wait", "--json").json()["groups"]
    assert [group["by"]["wait"] for group in groups] == ["0.3", "0"]


def test_a_group_without_any_result_is_there_and_reaches_no_limit() -> None:
    write(
        "spec.yaml",
        """
project: p
steps:
  each:
    matrix: {model: [good, bad], case: [1, 2]}
    run: test "${{ matrix.model }}" = good && echo ${{ matrix.case }}
    score: {exact: "${{ output | int == matrix.case }}"}
""",
    )
    assert orc("run", "spec.yaml").code == 1
    groups = orc("scores", "latest", "--by", "model", "--json").json()["groups"]
    assert [(group["by"]["model"], group["n"], group["failed"]) for group in groups] == [
        ("good", 2, 0),
        ("bad", 0, 2),
    ]
    said = orc("scores", "latest", "--by", "model", "--fail-under", "exact=0.5")
    assert (said.code, "exact, model bad: there is no value" in said.err) == (1, True)


def test_a_failed_step_counts_only_for_the_scores_that_it_would_have_had() -> None:
    text = (
        "project: p\nsteps:\n"
        "  a: {for_each: [1, 2], value: 1, score: {x: '${{ output == 1 }}'}}\n"
        "  b:\n    for_each: [1, 2]\n    continue_on_error: true\n    run: test ${{ item }} = 1\n"
        "    score: {y: '${{ 1 }}'}\n"
    )
    assert orc("run", write("two.yaml", text)).code == 0
    found = orc("scores", "latest", "--json").json()["groups"]
    assert [(group["score"], group["failed"]) for group in found] == [("x", 0), ("y", 1)]
    assert orc("scores", "latest", "--fail-under", "x=1").code == 0
    assert orc("scores", "latest", "--fail-under", "y=1").code == 1


_ALL_FAIL = """
project: p
steps:
  answer:
    for_each: [1, 2]
    continue_on_error: true
    value: "${{ 1 / 0 }}"
    score: {exact: "${{ output == 1 }}"}
"""
_JUDGE_FAILS = """
project: p
steps:
  answer: {for_each: [1, 2], value: "${{ item }}"}
  judge:
    for_each: ${{ steps.answer.items }}
    as: given
    value: "${{ 1 / 0 }}"
    score: {exact: {value: "${{ 1 }}", of: "${{ given.step }}"}}
"""
_NEVER_BEGUN = """
project: p
steps:
  before: {value: "${{ 1 / 0 }}"}
  answer: {needs: [before], value: 1, score: {exact: "${{ 1 }}"}}
"""


def test_a_dimension_that_is_given_twice_is_one_column(job: str) -> None:
    said = orc("scores", job, "--by", "model,model", "--json").json()
    assert said["by"] == ["model"]


def test_differences_that_come_from_rounding_are_none() -> None:
    # In binary, the mean of three times 0.7 is a little less, and 0.1 + 0.2 a little more than 0.3.
    text = """
project: p
inputs: {{first: {{type: boolean}}}}
steps:
  a:
    for_each: [1, 2, 3]
    value: 1
    score: {{same: "${{{{ 0.7 }}}}", sum: "${{{{ {factor} * (0.1 + 0.2 if inputs.first else 0.3) }}}}"}}
"""
    for factor in (1, 1_000_000):
        spec = write("spec.yaml", text.format(factor=factor))
        assert orc("run", spec, "-i", "first=true").code == 0
        assert orc("run", spec, "-i", "first=false").code == 0
        assert orc("scores", "latest", "--fail-under", "same=0.7").code == 0
        assert orc("scores", "latest", "--fail-under", "same=0.7001").code == 1
        said = orc("scores", "latest~1", "latest", "--fail-on-regression", "--json")
        (found,) = (each for each in said.json()["scores"] if each["score"] == "sum")
        assert (said.code, found["difference"]["mean"], found["is_clear"]) == (0, 0, False)


@pytest.mark.parametrize("text", [_ALL_FAIL, _JUDGE_FAILS, _NEVER_BEGUN])
def test_a_job_in_which_no_step_gave_a_score_fails_its_limits(text: str) -> None:
    orc("run", write("none.yaml", text))
    said = orc("scores", "latest", "--fail-under", "exact=0.9")
    assert (said.code, "exact: there is no value" in said.err) == (1, True)
    said = orc("scores", "latest", "latest", "--fail-under", "exact=0.9")
    assert (said.code, "exact: there is no value" in said.err) == (1, True)
    assert orc("scores", "latest", "--fail-under", "exat=0.9").code == 2


@pytest.mark.parametrize(("failing", "code"), [(0, 0), (2, 1)])
def test_a_judge_that_fails_lets_no_limit_of_its_score_pass(failing: int, code: int) -> None:
    text = f"""
project: p
steps:
  answer: {{for_each: [1, 2, 3], value: "${{{{ item }}}}", score: {{own: "${{{{ 1 }}}}"}}}}
  judge:
    for_each: ${{{{ steps.answer.items }}}}
    as: given
    continue_on_error: true
    value: "${{{{ 1 / (given.output - {failing}) }}}}"
    score: {{quality: {{value: "${{{{ 1 }}}}", of: "${{{{ given.step }}}}"}}}}
"""
    assert orc("run", write("spec.yaml", text)).code == 0
    said = orc("scores", "latest", "--fail-under", "quality=0.5")
    assert (said.code, "quality: 1 step that should give it failed" in said.err) == (
        code,
        code == 1,
    )
    assert orc("scores", "latest", "--fail-under", "own=0.5").code == 0
    before = write("before.yaml", text.replace(f"- {failing}", "- 0"))
    assert orc("run", before).code == 0
    said = orc("scores", "latest", "latest~1", "--fail-on-regression")
    assert (said.code, "quality: 1 step that should give it failed" in said.err) == (
        code,
        code == 1,
    )


@pytest.mark.parametrize(
    ("second", "lost", "code"),
    [
        ("failing=[2]", 1, 1),
        ("failing=[1,2,3]", 3, 1),
        ("broken=[2,3]", 2, 1),
        ("cases=[1,2]", 0, 0),
        ("cases=[1,2,4]", 0, 0),
    ],
)
def test_a_case_that_breaks_is_a_regression_and_one_that_is_left_out_is_not(
    second: str, lost: int, code: int
) -> None:
    text = """
project: p
inputs:
  cases: {type: list, default: [1, 2, 3]}
  failing: {type: list, default: []}
  broken: {type: list, default: []}
steps:
  each:
    for_each: ${{ inputs.cases }}
    as: case
    continue_on_error: true
    value: "${{ 1 / (0 if case in inputs.failing else 1) }}"
    score: {ok: "${{ none if case in inputs.broken else output > 0 }}"}
"""
    spec = write("spec.yaml", text)
    assert orc("run", spec).code == 0
    assert orc("run", spec, "-i", second).code == 0
    said = orc("scores", "latest~1", "latest", "--fail-on-regression")
    assert said.code == code
    assert (f"({lost} failed or broken in the second)" in said.out) == (lost > 0)
    assert ("with a score in the first job failed" in said.err) == (lost > 0)
    (found,) = orc("scores", "latest~1", "latest", "--json").json()["scores"]
    assert found["lost"] == lost
    heads, _, row = orc("scores", "latest~1", "latest", "--format", "md").out.splitlines()
    in_report = dict(zip(heads.split("|"), row.split("|"), strict=True))
    assert in_report[" of these lost "] == f" {lost} "


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"question": "Why is that so?", "answer": "x"}, "Why is that so?"),
        ({"question": "Why is that so?", "ID": 17, "answer": "x"}, "17"),
    ],
)
def test_a_row_of_a_table_is_named_and_whole_where_programs_read(
    row: dict[str, object], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_in(tmp_path, monkeypatch)
    spec = """\
project: rows
inputs: {rows: {type: table, default: rows.json}}
steps:
  each:
    for_each: ${{ inputs.rows }}
    value: SAID
    score: {size: "${{ output | length }}"}
"""
    Path("rows.json").write_text(json.dumps([row]))
    first, second = submit(spec), submit(spec.replace("SAID", "no"))
    assert f" {name} " in orc("scores", first, "--by", "item").out
    whole = orc("scores", first, "--by", "item", "--format", "csv").out
    assert json.dumps(row)[1:-1] in whole.replace('""', '"')
    said = orc("scores", first, second)
    assert f"\n{name} " in said.out
    assert "answer" not in said.out
    compared = orc("scores", first, second, "--json").json()["scores"][0]
    assert [json.loads(one["case"]) for one in compared["regressions"]] == [{"item": row}]


def test_a_report_in_markdown_has_names_as_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_in(tmp_path, monkeypatch)
    names = [
        "<img src=x onerror=a>",
        "[a](http://b)",
        "![a](b)",
        "a\\|b",
        "`a`",
        "*a* _b_ ~~c~~",
        "&lt;",
    ]
    write(
        "spec.yaml",
        f"""
project: names
steps:
  each:
    for_each: {json.dumps(names)}
    value: 1
    score: {{ok: "${{{{ output }}}}"}}
""",
    )
    assert orc("run", "spec.yaml").code == 0
    report = orc("scores", "latest", "--by", "item", "--format", "md").out
    # All in one line, which a table of GitHub's kind gives to the cells.
    cells = [re.split(r"(?<!\\)(?:\\\\)*\|", line)[2] for line in report.splitlines()[2:]]
    assert sorted(map(_text_of, cells)) == sorted(names)


def _text_of(cell: str) -> str:
    """The text of a cell, if it is nothing but a text."""
    (block,) = MarkdownIt("commonmark").enable("strikethrough").parseInline(cell.strip())
    assert {part.type for part in block.children or ()} <= {"text", "text_special"}, block.children
    return "".join(part.content for part in block.children or ())


def test_scores_of_one_name_are_told_apart_by_who_gave_them() -> None:
    write(
        "spec.yaml",
        """
project: p
steps:
  a: {value: 2, score: {good: "${{ output }}"}}
""",
    )
    first, second = run("spec.yaml"), run("spec.yaml")
    assert orc("score", first, "a", "good=3").code == 0
    said = orc("scores", first, second)
    assert "\ngood (human): not compared: 1 case only in the first job" in said.out
    assert orc("score", second, "a", "good=1").code == 0
    said = orc("scores", first, second, "--fail-on-regression", "--fail-under", "good=2")
    assert "\ngood (human): 1 case worse" in said.out
    assert "\ngood (human): 1 case got worse" in said.err
    assert "good (human): the mean 1 is under 2" in said.err
