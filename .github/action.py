"""What `action.yml` does: runs a spec, and writes the summary, the outputs and the reports.

The inputs are variables (`ACTION_SPEC` ...), so that none of them is part of a script. What a model or
a command wrote is data in the log and in the summary: it can neither give commands to the runner nor
format the page.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orc
from orc.ledger.wording import (
    calls_cost_text,
    cost_text,
    count_text,
    duration_text,
    number_text,
    steps_text,
    visible,
)
from orc.scheduler.core.language.text_filters import to_markdown

Call = Callable[[list[str]], tuple[int, str]]
"""Runs `orc` with these words; its exit code and what it printed."""

ROWS_MAX = 100
HEAD_LINES = 2
"""The lines of a Markdown table before its first row."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A run: the exit code for the workflow, and the job if there is one."""

    code: int
    job: orc.Job | None
    scores: str = ""
    reasons: tuple[str, ...] = ()


def main(environment: Mapping[str, str], call: Call) -> int:
    """Run the spec, and write everything that the workflow asked for; the exit code."""
    ran = run(environment, call)
    append(environment.get("GITHUB_STEP_SUMMARY"), summary(environment["ACTION_SPEC"], ran))
    append(environment.get("GITHUB_OUTPUT"), outputs(ran))
    return ran.code


def run(environment: Mapping[str, str], call: Call) -> Ran:
    """Run the spec, write the reports, and compare the scores with their limits."""
    words = ["run", environment["ACTION_SPEC"], "--json", "--no-input"]
    for option in ("provider", "model"):
        if environment.get(f"ACTION_{option.upper()}"):
            words += [f"--{option}", environment[f"ACTION_{option.upper()}"]]
    for given in lines_of(environment, "ACTION_INPUTS"):
        words += ["--input", given]
    code, printed = call(words)
    objects = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    job_id = next((found["job_id"] for found in objects if "job_id" in found), None)
    if job_id is None:
        return Ran(code, None)
    folder = Path(environment.get("ACTION_REPORTS") or "orc-reports")
    folder.mkdir(parents=True, exist_ok=True)
    for name, kind in (("junit.xml", "junit"), ("job.html", "html")):
        call(["export", job_id, "--format", kind, "--to", str(folder / name), "--force"])
    if environment.get("ACTION_KEEP_LEDGER") == "true":
        (folder / "runs.db").unlink(missing_ok=True)
        call(["backup", str(folder / "runs.db")])
    words = ["scores", job_id, "--format", "md"]
    for limit in lines_of(environment, "ACTION_FAIL_UNDER"):
        words += ["--fail-under", limit]
    scores_code, said = call(words)
    table = [line for line in said.splitlines() if line.startswith("|")]
    # Every other line is a reason; a job without scores has one too.
    others = [line for line in said.splitlines() if line and not line.startswith("|")]
    return Ran(
        code or scores_code,
        orc.job(job_id),
        scores="\n".join(table) if len(table) > HEAD_LINES else "",
        reasons=tuple(others) if scores_code else (),
    )


def summary(spec: str, ran: Ran) -> str:
    """The summary of the run, as Markdown."""
    job = ran.job
    if job is None:
        return (
            f"## orc: no job\n\n{code_span(spec)} was refused, exit code {ran.code}: see the log.\n"
        )
    spent = calls_cost_text(job.calls, round(job.cost_known_usd * 1e9), job.calls_unpriced)
    good = sum(step.status == "succeeded" for step in job.steps)
    parts = [
        f"## {code_span(job.project)}: {job.status}",
        f"{steps_text(good, len(job.steps))}, {duration_text(job.duration_s)}, "
        f"{count_text(job.tokens, 'token')}, {spent and f'cost {spent}; '}exit code {ran.code}; "
        f"{code_span(job.job_id)}",
        to_markdown([row_of(step) for step in job.steps[:ROWS_MAX]]),
    ]
    if len(job.steps) > ROWS_MAX:
        parts.append(f"and {number_text(len(job.steps) - ROWS_MAX)} more steps: see the reports.")
    if ran.scores:
        parts += ["### Scores", ran.scores]
    problems = [f"{failure.step}: {failure.message}" for failure in job.failures[:ROWS_MAX]]
    problems += ran.reasons
    if problems:
        parts += ["### What went wrong", "\n".join(f"- {code_span(text)}" for text in problems)]
    return "\n\n".join(parts) + "\n"


def row_of(step: Any) -> dict[str, str]:
    """A row of the table of steps."""
    cost = cost_text(round(step.cost_known_usd * 1e9), step.calls_unpriced) if step.tokens else ""
    return {
        "step": visible(step.step),
        "status": step.status,
        "time": duration_text(step.duration_s),
        "tokens": number_text(step.tokens) if step.tokens else "",
        "cost": cost,
    }


def outputs(ran: Ran) -> str:
    """The outputs of the action: ids, words and numbers of orc's own."""
    job = ran.job
    cost = "" if job is None or job.cost_usd is None else f"{job.cost_usd:.6f}"
    found = {
        "job-id": "" if job is None else job.job_id,
        "status": "" if job is None else job.status,
        "exit-code": str(ran.code),
        "cost-usd": cost,
    }
    return "".join(f"{name}={value}\n" for name, value in found.items())


def code_span(text: str) -> str:
    """A text as code on one line, whatever it contains."""
    shown = visible(" ".join(text.split()))[:500]
    ticks = "`"
    while ticks in shown:
        ticks += "`"
    return f"{ticks} {shown} {ticks}"


def lines_of(environment: Mapping[str, str], name: str) -> list[str]:
    """The lines of a variable that are not empty."""
    return [line.strip() for line in environment.get(name, "").splitlines() if line.strip()]


def append(path: str | None, text: str) -> None:
    """Append to a file of the runner, if it named one."""
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def call_orc(words: list[str]) -> tuple[int, str]:
    """Run `orc` as a process of its own; what it prints goes to the log too.

    Each line is indented: a runner takes a line that begins with `::` as a command.
    """
    command = [str(Path(sys.executable).with_name("orc")), *words]
    printed = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line)
            sys.stdout.write(f"  {line}")
            sys.stdout.flush()
    return process.returncode, "".join(printed)


if __name__ == "__main__":
    sys.exit(main(os.environ, call_orc))
