"""A ledger for tests that only read: it has forks, cache hits, tools, retries, skips, items, rounds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.cli.command_line import orc, submit, write

SPEC = """\
project: notes
provider: replay
output_dir: out
steps:
  plan:
    {prompt: plan it, system: Be careful., params: {temperature: 0.5}, cache: ledger,
     files: [{path: plan.md}]}
  code: {needs: plan, prompt: "write ${{ steps.plan.output }}", tools: [write_file]}
  build: {needs: code, run: "cat plan.md > all.txt; echo noise", files: ["*.txt"]}
  each:
    {for_each: [a, b], as: it, key: "${{ it }}", needs: plan, value: 1,
     files: [{path: "${{ it }}.x", content: "${{ it }}"}]}
  broken: {run: "exit 3", retry: {max_attempts: 2, initial: 0.001}, continue_on_error: false}
  after: {needs: broken, value: 1}
  last: {needs: after, value: 1}
  flag: {value: {go: false}}
  guarded: {if: "steps.flag.output.go", value: 1}
  shell: {run: "echo done", cache: ledger}
"""
CODE = "print('hello')\n"
REPLIES = {
    "plan": [{"text": "the plan"}],
    "code": [
        {
            "tool_calls": [
                {"id": "1", "name": "write_file", "arguments": {"path": "main.py", "content": CODE}}
            ]
        },
        {"text": "written"},
    ],
}


@dataclass(frozen=True, slots=True)
class SampleLedger:
    """The folder, its first job, a second run that the caches answered, and a fork of the first job."""

    folder: Path
    first: str
    second: str
    fork: str

    @property
    def database(self) -> Path:
        return self.folder / "runs.db"


def make_sample_ledger(folder: Path) -> SampleLedger:
    """Make the ledger in the current folder."""
    write("spec.replay.yaml", json.dumps({"replies": REPLIES}))
    first = submit(SPEC)
    second = submit(SPEC)
    fork = orc("fork", first, "--from", "flag", "--json").lines()[0]["job_id"]
    return SampleLedger(folder, first, second, str(fork))
