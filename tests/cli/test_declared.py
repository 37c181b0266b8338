"""What a job declares and does not get: in the terminal, in `orc show`, `orc why` and the pages."""

from __future__ import annotations

import pytest

from tests.cli.command_line import orc, submit, write

SPEC = """\
project: declared
steps:
  some: {run: "touch a.txt", files: [a.txt, "*.log"]}
"""
WARNING = "no file matches '*.log'"


def test_a_pattern_without_a_match_is_said_wherever_the_step_is_shown() -> None:
    said = orc("run", write("spec.yaml", SPEC))
    assert said.code == 0
    assert "some succeeded in" in said.err
    assert WARNING in said.err
    assert WARNING in orc("show", "latest").out
    assert orc("show", "latest", "--json").json()["steps"][0]["warning"] == WARNING
    assert WARNING in orc("why", "latest", "some").out
    assert orc("export", "latest", "--format", "html", "--to", "page.html").code == 0
    with open("page.html", encoding="utf-8") as page:
        assert "no file matches &#39;*.log&#39;" in page.read()


def test_under_strict_it_fails_the_step_also_when_the_job_is_resumed() -> None:
    said = orc("run", write("spec.yaml", SPEC), "--strict")
    assert said.code == 1
    assert "some failed (schema): declared under `files`: '*.log' matches no file" in said.err
    assert orc("resume", "latest").code == 1


def test_a_job_of_an_earlier_version_keeps_the_meaning_that_it_was_submitted_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(
            "orc.scheduler.core.resolve.job.required_of", lambda file, *, is_strict: "no"
        )
        job_id = submit(SPEC.replace("touch a.txt", "true"))
    assert orc("show", job_id, "--json").json()["steps"][0]["warning"] is None
    said = orc("rerun", job_id, "--step", "some")
    assert said.code == 0, said.err
    assert orc("run", "spec.yaml").code == 1


def test_variables_that_are_not_set_and_replies_of_no_step_are_said_before_the_run() -> None:
    spec = """\
project: declared
env: {NOT_SET_HERE: null, PATH: null}
steps:
  ask: {prompt: hello}
"""
    write("replies.yaml", "replies: {ask: [hi], aks: [hi]}")
    options = ("--provider", "replay", "--replies", "replies.yaml")
    said = orc("run", write("spec.yaml", spec), *options)
    assert said.code == 0
    assert (
        "`env` passes NOT_SET_HERE on, and it is not set here: commands run without it" in said.err
    )
    assert (
        "there are recorded replies of 'aks', which is not a step; did you mean 'ask'?" in said.err
    )


def test_required_belongs_to_what_is_captured() -> None:
    text = "project: p\nsteps: {a: {value: 1, files: [{path: a, required: true}]}}\n"
    said = orc("validate", write("spec.yaml", text))
    assert said.code == 2
    assert "`required` is allowed with `glob` only" in said.err
