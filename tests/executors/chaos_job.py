"""A job of thirteen steps on a cluster, and the checks after any number of faults.

Each command appends a line when it starts and one when it ends, outside of its folder. When it
starts, it also looks whether a process of the same step still lives.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orc.cli.chaos.comparison import End, read_end
from orc.cli.jobs.own_folder import folder_of
from orc.ledger import LedgerReader
from tests.processes import read_events

_SHELL = """
for pid in $(sed -n "s/^start $ORC_STEP [0-9]* //p" {marks}); do
  if {{ tr '\\0' '\\n' <"/proc/$pid/environ"; }} 2>/dev/null | grep -qx "ORC_STEP=$ORC_STEP"; then
    echo "overlap $ORC_STEP $ORC_ATTEMPT $pid" >>{marks}
  fi
done
echo "start $ORC_STEP $ORC_ATTEMPT $$" >>{marks}
trap 'echo "end $ORC_STEP $ORC_ATTEMPT $$" >>{marks}' EXIT
"""
_PYTHON = """
import os, time

def note(what):
    line = f"{{what}} {{os.environ['ORC_STEP']}} {{os.environ['ORC_ATTEMPT']}} {{os.getpid()}}\\n"
    file = os.open("{marks}", os.O_WRONLY | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)

def total(parts):
    note("start")
    time.sleep(0.3)
    with open("total.txt", "w") as file:
        file.write(" ".join(parts))
    note("end")
    return {{"parts": parts, "sum": sum(map(len, parts))}}
"""
_SPEC = """
project: chaos
executor: cluster
ship: [mark.sh, counting.py]
concurrency: {{total: 4, cluster: 4}}
env: {{CHAOS: {marker}}}
steps:
  seed:
    run: |
      . "$ORC_SPEC_DIR/mark.sh"; sleep 0.2; echo seed | tee seed.txt
    files: [seed.txt]
{fan}
  join:
    needs: [fan1, fan2, fan3, fan4]
    run: |
      . "$ORC_SPEC_DIR/mark.sh"; cat fan*.txt | tee joined.txt
      head -c 200000 /dev/zero >big.bin
    files: [joined.txt, big.bin]
  total:
    needs: [join]
    python: counting:total
    args: {{parts: ["${{{{ steps.fan1.output }}}}", "${{{{ steps.fan2.output }}}}"]}}
    files: [total.txt]
  unsteady:
    retry: {{max_attempts: 6, initial: 10ms, max: 50ms}}
    run: |
      . "$ORC_SPEC_DIR/mark.sh"; sleep 0.1; echo tried; test "$ORC_ATTEMPT" -gt 1
  once:
    needs: [seed]
    idempotent: false
    run: |
      . "$ORC_SPEC_DIR/mark.sh"; sleep 0.5; cp seed.txt once.txt; echo once
    files: [once.txt]
  chain1:
    needs: [unsteady]
    run: |
      . "$ORC_SPEC_DIR/mark.sh"; for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done
  chain2:
    needs: [chain1, once]
    run: |
      . "$ORC_SPEC_DIR/mark.sh"; sleep 0.2; wc -l <once.txt
  long:
    run: |
      . "$ORC_SPEC_DIR/mark.sh"; sleep {long_s:g}; echo long
  last:
    needs: [chain2, total]
    run: |
      . "$ORC_SPEC_DIR/mark.sh"; cat total.txt once.txt

"""
_FAN = """
  fan{number}:
    needs: [seed]
    run: |
      . "$ORC_SPEC_DIR/mark.sh"; sleep 0.{number}; cat seed.txt; echo {number} >fan{number}.txt
    files: [fan{number}.txt]
"""
STEPS = 13


@dataclass(frozen=True)
class ChaosJob:
    """The files of one job in a folder of its own."""

    folder: Path
    marker: str

    @property
    def database(self) -> Path:
        return self.folder / "runs.db"

    @property
    def marks(self) -> Path:
        return self.folder / "marks.txt"

    def write(self, *, scheduler_file: Path, lease_s: float, long_s: float = 0.5) -> None:
        """Write the spec, the files that travel with it, and the site file.

        `long_s` is how long the command of one step takes. Only one that takes longer than the
        coordinator waits for a lost worker can overlap with that of the next attempt.
        """
        self.folder.mkdir(mode=0o700)
        self.marks.touch()
        fan = "".join(_FAN.format(number=number) for number in range(1, 5))
        texts = {
            "spec.yaml": _SPEC.format(marker=self.marker, fan=fan, long_s=long_s),
            "mark.sh": _SHELL.format(marks=self.marks),
            "counting.py": _PYTHON.format(marks=self.marks),
            "executors.yaml": json.dumps(
                {
                    "executors": {
                        "cluster": {
                            "engine": "dask",
                            "scheduler_file": str(scheduler_file),
                            "lease": f"{lease_s:g}s",
                        }
                    }
                }
            ),
        }
        for name, text in texts.items():
            (self.folder / name).write_text(text)

    def events(self) -> list[dict[str, Any]]:
        """All events; none while there is no ledger."""
        try:
            return read_events(self.database)
        except sqlite3.OperationalError:
            return []

    def end(self) -> End:
        """The result of the job."""
        with LedgerReader.open(self.database) as ledger:
            job_id = ledger.find_job("latest")
            folder = folder_of(ledger, job_id, use="read")
            return read_end(ledger, job_id, folder=folder, delivered=self.folder / "delivered")

    def problems(self, wanted: End | None) -> Iterator[str]:
        """Deviations from what is promised; `wanted` is the result of an undisturbed run."""
        marks = [line.split() for line in self.marks.read_text().splitlines()]
        events = self.events()
        yield from (" ".join(mark) for mark in marks if mark[0] == "overlap")
        starts = Counter(
            (step, int(attempt)) for what, step, attempt, _ in marks if what == "start"
        )
        yield from (f"{ticket} started {n} times" for ticket, n in starts.items() if n > 1)
        yield from _overlaps(marks)
        for ticket in starts:
            if ticket not in _tickets(events, "step.placed"):
                yield f"{ticket} started without a placement"
        ends = _tickets(events, "step.succeeded", "step.failed", "step.interrupted")
        opened = _tickets(events, "step.started")
        yield from (f"{ticket} has {n} starts" for ticket, n in opened.items() if n != 1)
        for ticket in opened.keys() | ends.keys():
            if ends[ticket] != 1:
                yield f"{ticket} has {ends[ticket]} ends"
        succeeded = Counter(one["step"] for one in events if one["type"] == "step.succeeded")
        if set(succeeded.values()) != {1} or len(succeeded) != STEPS:
            yield f"successes: {dict(succeeded)}"
        for step, attempt in _tickets(events, "step.succeeded"):
            if ["start", step, str(attempt)] not in [mark[:3] for mark in marks]:
                yield f"{step} succeeded in attempt {attempt}, which never started"
        if wanted is not None and self.end() != wanted:
            yield f"the result differs: {self.end()}, wanted {wanted}"


def _tickets(events: list[dict[str, Any]], *types: str) -> Counter[tuple[str, int]]:
    return Counter((one["step"], one["attempt"]) for one in events if one["type"] in types)


def _overlaps(marks: list[list[str]]) -> Iterator[str]:
    """Whether a process of a step wrote after a later attempt had started."""
    latest: dict[str, int] = {}
    for what, step, attempt, pid in marks:
        if int(attempt) < latest.get(step, 0):
            yield f"{what} of {step}, attempt {attempt} (process {pid}), after that of a later one"
        if what == "start":
            latest[step] = int(attempt)
