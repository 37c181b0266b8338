"""The specs of the measured jobs, and the time between two events of a run."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from orc.cli.jobs.owned_job import Listener
from orc.cli.jobs.places import Places
from orc.cli.jobs.prepare import Submission
from orc.cli.jobs.run import run
from orc.cli.jobs.state import load_state
from orc.cli.jobs.sync import run_sync
from orc.ledger import LedgerReader, Recorded


def chain(count: int, *, chars: int = 0) -> str:
    """Steps of which each needs the step before it.

    Each value has so many characters more: one over 1 kB is committed before the next step.
    """
    more = "x" * chars
    lines = ["project: chain", "steps:", f"  s0: {{value: {more}0}}"]
    lines += [f"  s{i}: {{value: {more}{i}, needs: s{i - 1}}}" for i in range(1, count)]
    return "\n".join(lines)


def fan(count: int, *, concurrency: int = 1000) -> str:
    """Steps that need no other step."""
    lines = ["project: fan", f"concurrency: {concurrency}", "steps:"]
    lines += [f"  s{i}: {{value: {i}}}" for i in range(count)]
    return "\n".join(lines)


def layers(depth: int, width: int) -> str:
    """Layers of steps; each step needs all steps of the layer before."""
    lines = ["project: layers", "concurrency: 1000", "steps:"]
    for level in range(depth):
        needs = ", ".join(f"s{level - 1}_{i}" for i in range(width)) if level else ""
        lines += [f"  s{level}_{i}: {{value: {i}, needs: [{needs}]}}" for i in range(width)]
    return "\n".join(lines)


def commands(count: int, *, concurrency: int = 4) -> str:
    """Shell commands that do nothing."""
    lines = ["project: commands", f"concurrency: {concurrency}", "steps:"]
    lines += [f"  s{i}: {{run: 'true'}}" for i in range(count)]
    return "\n".join(lines)


def captures(count: int, *, concurrency: int = 4) -> str:
    """Shell commands that write a file each, which is captured."""
    lines = ["project: captures", f"concurrency: {concurrency}", "steps:"]
    lines += [f"  s{i}: {{run: 'echo {i} > s{i}.txt', files: ['*.txt']}}" for i in range(count)]
    return "\n".join(lines)


def prompts(count: int, *, concurrency: int = 100) -> tuple[str, str]:
    """The spec and the recorded replies of a job with this many prompts."""
    lines = ["project: prompts", f"concurrency: {concurrency}", "provider: replay", "steps:"]
    lines += [f"  s{i}: {{prompt: 'Say {i}.'}}" for i in range(count)]
    replies = ["replies:"] + [f"  s{i}: [{{text: 'It is {i}.'}}]" for i in range(count)]
    return "\n".join(lines), "\n".join(replies)


def computing(count: int, *, cpu_ms: int, concurrency: int = 100) -> tuple[str, dict[str, str]]:
    """Functions that keep a core busy, and the module with them."""
    lines = ["project: computing", f"concurrency: {concurrency}", "steps:"]
    lines += [
        f"  s{i}: {{python: 'spinning:spin', args: {{cpu_ms: {cpu_ms}}}}}" for i in range(count)
    ]
    module = (
        "import time\n\n\ndef spin(cpu_ms):\n    end_s = time.thread_time() + cpu_ms / 1000\n"
        "    while time.thread_time() < end_s:\n        pass\n"
    )
    return "\n".join(lines), {"spinning.py": module}


def calls(count: int, *, concurrency: int = 100) -> str:
    """Prompts for a model API."""
    lines = ["project: calls", f"concurrency: {concurrency}", "provider: openai/model-a", "steps:"]
    lines += [f"  s{i}: {{prompt: 'Say {i}.'}}" for i in range(count)]
    return "\n".join(lines)


def run_job(
    folder: Path,
    spec: str,
    *,
    replies: str | None = None,
    environment: Mapping[str, str] | None = None,
    beside: Mapping[str, str] | None = None,
) -> tuple[float, Path]:
    """Run a job; the seconds from when it is recorded to `job.succeeded`, and its ledger's path.

    The commit of `job.started` may have the starts of many steps, and the results of some.
    `beside` has files to write beside the spec.
    """
    place = folder / f"job-{time.monotonic_ns()}"
    place.mkdir()
    path = place / "spec.yaml"
    path.write_text(spec)
    for name, text in (beside or {}).items():
        (place / name).write_text(text)
    if replies is not None:
        (place / "spec.replay.yaml").write_text(replies)
    began = ended_at = 0.0

    def begin(*_job: object) -> None:
        nonlocal began
        began = time.perf_counter()

    def note(recorded: Sequence[Recorded]) -> None:
        nonlocal ended_at
        if recorded[-1].event.type == "job.succeeded":
            ended_at = time.perf_counter()

    places = Places.find(database=place / "runs.db")
    ended = run_sync(
        run,
        Submission(path=path),
        places=places,
        environment=os.environ if environment is None else environment,
        version="benchmark",
        listener=Listener(on_job=begin, on_events=note),
    )
    assert ended.status == "succeeded", ended.failures
    return ended_at - began, places.database


def events_folded_per_s(database: Path) -> float:
    """How many events per second are read from the ledger and folded to the job's state."""
    with LedgerReader.open(database) as ledger:
        job_id = ledger.find_job("latest")
        count = ledger.head(job_id).version
        started = time.perf_counter()
        load_state(ledger, job_id)
        return count / (time.perf_counter() - started)
