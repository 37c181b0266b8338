"""A job that is killed at any failpoint and resumed ends with the expected result.

`ledger/failpoints.py` lists the failpoints. A first run lists its hits; then one run is killed at
each hit. `sweep_job.py` has the job, its expected result, and what crashes may cost.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from orc.ledger.failpoints import PLACES
from tests.crash.sweep_job import (
    Crashes,
    answer,
    check_end,
    environment,
    lasting,
    read_committed,
    read_manifest,
    write_job,
)
from tests.model_server import ModelServer
from tests.processes import run_orc

QUICK_PAIRS = 3
PAIRS = 250
SEED = 20_261_126


@dataclass
class Stand:
    """The setup of the sweep: the model server, and a run without a kill."""

    model: ModelServer
    root: Path
    trace: list[str]
    manifest: dict[str, Any]
    _numbers: Iterator[int]

    @property
    def hits(self) -> Counter[str]:
        """The number of hits of each failpoint in the run without a kill."""
        return Counter(hit.partition("@")[0] for hit in self.trace)

    def new_folder(self) -> Path:
        folder = self.root / str(next(self._numbers))
        folder.mkdir()
        write_job(folder)
        return folder

    def run(self, folder: Path, *arguments: str, failpoints: str = "") -> CompletedProcess[str]:
        settings = environment(folder, self.model.url)
        return run_orc(*arguments, cwd=folder, ORC_FAILPOINTS=failpoints, **settings)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with ModelServer(answer) as model:
        found = Stand(model, tmp_path_factory.mktemp("sweep"), [], {}, count())
        folder = found.new_folder()
        traced = found.run(folder, "run", "spec.yaml", "-q", failpoints=f"trace:{folder / 'hits'}")
        assert traced.returncode == 0, traced.stderr
        check_end(folder, Crashes(), paid=len(model.seen))
        found.manifest = read_manifest(folder)
        found.trace += (folder / "hits").read_text().split()
        yield found


def check_killed_at(stand: Stand, *points: str, with_reply: bool = False) -> int:
    """Kill the run at the first failpoint, and a resume at each further one; then resume to the end.

    The number of kills; for `with_reply`, of kills right after a reply was committed."""
    folder = stand.new_folder()
    crashes = Crashes()
    paid_before = len(stand.model.seen)
    killed = 0
    for point in points:
        died = go_on(stand, folder, failpoints=f"{point}=kill")
        was_killed = died.returncode == -signal.SIGKILL
        assert was_killed or died.returncode == 0, (point, died)
        crashes.take(folder)
        killed += was_killed and (not with_reply or crashes.last_type == "llm.responded")
    ended = go_on(stand, folder)
    assert ended.returncode == 0, (points, ended)
    verified = stand.run(folder, "verify")
    assert verified.returncode == 0, (points, verified)
    check_end(folder, crashes, paid=len(stand.model.seen) - paid_before)
    assert lasting(read_manifest(folder)) == lasting(stand.manifest)
    return killed


def go_on(stand: Stand, folder: Path, *, failpoints: str = "") -> CompletedProcess[str]:
    """Resume the job, or run the spec again if there is no job yet."""
    if not read_committed(folder):
        if (folder / "runs.db").exists():
            none = stand.run(folder, "resume", "latest")
            assert none.returncode == 6, none
        return stand.run(folder, "run", "spec.yaml", "-q", failpoints=failpoints)
    return stand.run(folder, "resume", "latest", "-q", failpoints=failpoints)


def test_a_run_hits_every_failpoint(stand: Stand) -> None:
    assert set(stand.hits) == set(PLACES)


@pytest.mark.parametrize("place", PLACES)
def test_a_job_killed_at_a_failpoint_and_resumed_has_the_expected_result(
    stand: Stand, place: str
) -> None:
    number = random.Random(f"{SEED} {place}").randint(1, stand.hits[place])
    # The number of events in a commit depends on timing, so that this hit may not occur.
    assert check_killed_at(stand, f"{place}@{number}") or check_killed_at(stand, f"{place}@1")


def test_a_job_killed_right_after_a_committed_reply_pays_for_no_reply_twice(
    stand: Stand,
) -> None:
    for place, hit in enumerate(stand.trace):
        if hit.startswith("call.after_reply@"):
            commits = (later for later in stand.trace[place:] if "after_commit" in later)
            if check_killed_at(stand, next(commits), with_reply=True):
                return
    pytest.fail("no kill came between a reply and its step's end")


def test_a_job_killed_while_its_last_file_is_copied_leaves_nothing_unfinished(
    stand: Stand,
) -> None:
    check_killed_at(stand, f"file.after_write@{stand.hits['file.after_write']}")


def test_a_call_is_in_doubt_once_although_the_resume_dies_before_its_first_commit(
    stand: Stand,
) -> None:
    kills = ("call.before_send@2", "ledger.before_begin@1", "ledger.after_insert@1")
    assert check_killed_at(stand, *kills) == len(kills)


@pytest.mark.parametrize("seed", range(QUICK_PAIRS))
def test_a_job_killed_again_during_its_resume_has_the_expected_result(
    stand: Stand, seed: int
) -> None:
    check_pair(stand, seed)


@pytest.mark.torture
@pytest.mark.parametrize("place", PLACES)
def test_a_job_killed_at_any_hit_of_a_failpoint_has_the_expected_result(
    stand: Stand, place: str
) -> None:
    times = stand.hits[place]
    killed = sum(check_killed_at(stand, f"{place}@{number}") for number in range(1, times + 1))
    assert killed >= max(1, times - 4)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(QUICK_PAIRS, PAIRS))
def test_a_job_killed_at_any_of_many_pairs_of_hits_has_the_expected_result(
    stand: Stand, seed: int
) -> None:
    check_pair(stand, seed)


def check_pair(stand: Stand, seed: int) -> None:
    chance = random.Random(SEED + seed)
    # A resume has fewer hits than a run, and the fewer the later the first crash was.
    again = chance.randint(1, len(stand.trace) // 2)
    check_killed_at(stand, chance.choice(stand.trace), f"*@{again}")
