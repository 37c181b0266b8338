"""Makes a ledger with many events: copies of two real runs, under new ids and at earlier times."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks import jobs
from orc.ledger import JobId, LedgerReader, Recorded, open_ledger
from orc.ledger.secrets.masking import NO_MASK
from orc.projections import ReadModel

_LARGE_JOBS = 40
_BATCH = 5_000


def job_of_1000_steps() -> tuple[str, str]:
    """The spec and the replies of a job with 1,000 steps: ten layers of prompts and values."""
    lines = ["project: thousand", "concurrency: 100", "provider: replay", "steps:"]
    replies = ["replies:"]
    for level, number in itertools.product(range(10), range(100)):
        name = f"s{level}_{number}"
        needs = [f"s{level - 1}_{(number * 7 + other) % 100}" for other in range(2)]
        needed = f", needs: [{', '.join(needs)}]" if level else ""
        files = f", files: [{{path: {name}.md}}]" if number % 20 == 0 else ""
        if number % 2:
            lines.append(f"  {name}: {{value: {number}{needed}}}")
        else:
            lines.append(f"  {name}: {{prompt: 'Say {name}.'{needed}{files}}}")
            replies.append(_reply(name, f"It is {name}, and that is all there is to say."))
    return "\n".join(lines), "\n".join(replies)


def small_job() -> tuple[str, str]:
    """The spec and the replies of a job with eighteen steps."""
    lines = ["project: small", "provider: replay", "steps:", "  first: {value: 1}"]
    replies = ["replies:"]
    for number in range(16):
        lines.append(f"  p{number}: {{prompt: 'Say {number}.', needs: first}}")
        replies.append(_reply(f"p{number}", f"It is {number}."))
    lines.append(f"  last: {{value: 2, needs: [{', '.join(f'p{n}' for n in range(16))}]}}")
    return "\n".join(lines), "\n".join(replies)


def make(folder: Path, *, events: int) -> tuple[Path, JobId]:
    """Make a ledger with about this many events; its path, and its latest job of 1,000 steps."""
    database = folder / "big.db"
    large, small = (_run(folder, *made) for made in (job_of_1000_steps(), small_job()))
    copies = max(1, (events - _LARGE_JOBS * len(large[1])) // len(small[1]))
    every = max(1, copies // _LARGE_JOBS)
    with open_ledger(database, projector=ReadModel(), mask=NO_MASK, create=True) as ledger:
        ledger.append([], blobs=[*large[0], *small[0]])
        batch: list[Recorded] = []
        last = JobId("")
        for number in range(copies):
            back = timedelta(minutes=10 * (copies - number))
            chosen = [small[1]]
            if (number + 1) % every == 0:
                chosen.append(large[1])
                last = JobId(f"job_{number:011d}l")
            for history in chosen:
                job_id = last if history is large[1] else JobId(f"job_{number:011d}s")
                batch += _moved(history, job_id, back)
            if len(batch) > _BATCH:
                ledger.append(batch)
                batch = []
        ledger.append(batch)
    return database, last


def _reply(step: str, text: str) -> str:
    return f"  {step}: [{{text: '{text}', usage: {{input_tokens: 20, output_tokens: 30}}}}]"


def _run(folder: Path, spec: str, replies: str) -> tuple[list[bytes], list[Recorded]]:
    """Run a job; its blobs and its events."""
    _, database = jobs.run_job(folder, spec, replies=replies)
    with LedgerReader.open(database) as ledger:
        digests = [row[0] for row in ledger.connection.execute("SELECT sha256 FROM blobs")]
        history = list(ledger.read_stream(ledger.find_job("latest")))
        return [ledger.read_blob(digest) for digest in digests], history


def _moved(history: list[Recorded], job_id: JobId, back: timedelta) -> Iterator[Recorded]:
    for recorded in history:
        at = datetime.fromisoformat(recorded.recorded_at) - back
        text = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        yield recorded._replace(job_id=job_id, recorded_at=text, position=0, hash="")
