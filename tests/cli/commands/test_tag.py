"""`orc tag` and `--tag`: words by which jobs are found."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.command_line import orc, write

SPEC = "project: p\ntags: [nightly]\nsteps: {a: {value: hello, score: {n: '${{ 1 }}'}}}\n"


def run(*options: str) -> str:
    write("spec.yaml", SPEC)
    return str(orc("run", "spec.yaml", "--json", *options).lines()[-1]["job_id"])


def jobs(*options: str) -> list[Any]:
    return [(line["job_id"], line["tags"]) for line in orc("list", "--json", *options).lines()]


def test_tags_come_from_the_spec_from_options_and_from_the_command() -> None:
    one, other = run("--tag", "v2", "--tag", "nightly"), run()
    assert jobs() == [(other, ["nightly"]), (one, ["nightly", "v2"])]
    said = orc("tag", one, "+good", "-nightly", "+hot", "--json").json()
    assert said == {"job_id": one, "tags": ["v2", "good", "hot"]}
    assert jobs("--tag", "nightly") == [(other, ["nightly"])]
    assert jobs("--tag", "good") == [(one, ["good", "hot", "v2"])]
    assert orc("verify").code == 0


def test_no_change_is_no_event() -> None:
    job = run()
    for _ in range(2):
        assert orc("tag", job, "+good", "-other").code == 0
    types = [line["type"] for line in orc("tail", job, "--json").lines()]
    assert types.count("job.tagged") == 1


def test_cost_scores_and_search_look_at_the_jobs_with_the_tag() -> None:
    one, other = run("--tag", "v2"), run()
    groups = orc("scores", "--tag", "nightly", "--json").json()["groups"]
    assert [group["by"] for group in groups] == [{"job": one}, {"job": other}]
    assert len(orc("scores", "--tag", "v2", "--json").json()["groups"]) == 1
    assert orc("search", "hello", "--tag", "none").code == 0
    assert one in orc("search", "hello", "--tag", "v2").out
    assert other not in orc("search", "hello", "--tag", "v2").out
    assert orc("cost", "--tag", "v2", "--json").json()["tag"] == "v2"


def test_an_edited_spec_changes_its_own_tags_only() -> None:
    job = run("--tag", "v2")
    write("spec.yaml", SPEC.replace("nightly", "weekly"))
    assert orc("resume", job, "--spec", "spec.yaml").code == 0
    assert jobs() == [(job, ["v2", "weekly"])]


def test_a_fork_gets_the_tags_of_the_spec_and_its_own() -> None:
    job = run("--tag", "v2")
    assert orc("fork", job, "--tag", "forked").code == 0
    assert jobs()[0][1] == ["forked", "nightly", "v2"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["good"], "good: write +good to add the tag, -good to remove it"),
        ([" "], "' ' is not a valid tag: use at most 64 letters"),
        (["+a b"], "'a b' is not a valid tag"),
        (["+"], "'' is not a valid tag"),
        (["+a", "-a"], "a: is added and removed"),
    ],
)
def test_what_is_no_tag_is_refused(arguments: list[str], reason: str) -> None:
    job = run()
    said = orc("tag", job, *arguments)
    assert (said.code, reason in said.err) == (2, True), said.err


def test_a_tag_in_a_spec_is_checked() -> None:
    write("bad.yaml", SPEC.replace("nightly", "'two words'"))
    said = orc("validate", "bad.yaml")
    assert (said.code, "tags" in said.err) == (2, True), said.err
    assert "'two words' is not a valid tag" in orc("run", "spec.yaml", "--tag", "two words").err
