"""Starts `orc resume JOB` as a process of its own, which goes on when its starter has ended.

It has its own session, so that no signal of the starter's terminal reaches it. What it prints is in
the job's runner log. Two processes never run one job: the log is locked, and then the job.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from orc.cli.errors import EnvironmentProblem
from orc.cli.jobs.places import Places
from orc.ledger import JobId, LedgerReader, has_owner
from orc.ledger.failpoints import VARIABLE
from orc.ledger.files.runner_log import BACKGROUND, RunnerLog, new_runner_log
from orc.scheduler.clock import Clock

_END_WAIT_S = 5.0
"""The time in which a process that has released its job ends, or one that has begun takes its job."""

StartRunner = Callable[[Places, JobId, Mapping[str, str]], bool]
"""See `start_runner`."""

_started: list[subprocess.Popen[bytes]] = []
"""Processes that this one has started: the system keeps those that have ended until they are asked."""


def start_runner(places: Places, job_id: JobId, environment: Mapping[str, str]) -> bool:
    """Start a process that continues the job; False if one is running already.

    Raises EnvironmentProblem, LedgerError.
    """
    _started[:] = [process for process in _started if process.poll() is None]
    with LedgerReader.open(places.database) as ledger:
        version = ledger.head(job_id).version
    words = ["resume", job_id, "--quiet", "--no-input", "--db", str(places.database)]
    log = _new_log(places, job_id, words, version)
    if log is None:
        return False
    try:
        process = subprocess.Popen(
            # -P: no module of the current folder takes the place of one of orc.
            [sys.executable, "-P", "-m", "orc.cli.main", *words],
            env=_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=log.output,
            stderr=log.output,
            pass_fds=(log.lock,),
            start_new_session=True,
        )
    except OSError as error:
        problem = f"cannot start a process for {job_id}: {error.strerror or error}"
        log.write(problem)
        raise EnvironmentProblem(
            f"{problem}; free some memory or processes, then try again"
        ) from error
    finally:
        log.close()
    _started.append(process)
    return True


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environment.items() if name != VARIABLE}
    return {**kept, BACKGROUND: "1"}


def _new_log(places: Places, job_id: JobId, words: Sequence[str], version: int) -> RunnerLog | None:
    """The log of a new process; None if another one runs the job, or is about to run it.

    One that has released the job is about to end: it is waited for.
    """
    deadline = time.monotonic() + _END_WAIT_S
    while True:
        log = new_runner_log(
            places.database,
            job_id,
            command=["orc", *words],
            version=version,
            started_at=Clock().recorded_at(),
        )
        if log is not None or has_owner(places.database, job_id) or time.monotonic() > deadline:
            return log
