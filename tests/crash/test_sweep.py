"""A job that is killed at a named place of the code, and resumed, ends as it is written down.

The places are those of `ledger/failpoints.py`. A first run lists its hits; then
each hit is where one run dies. What the job ends in, and what its crashes may
cost, is `sweep_job.py`'s business.
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
    """Where the runs of the sweep happen: the model, and the undisturbed run."""

    model: ModelServer
    root: Path
    trace: list[str]
    manifest: dict[str, Any]
    _numbers: Iterator[int]

    @property
    def hits(self) -> Counter[str]:
        """How often the undisturbed run was at each place."""
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
    """Run the job to its death at the first point, resume it to its death at each further one,
    then to its end; how often it died: `with_reply`, with a reply as the last thing committed."""
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
    """What a person does next: resume the job, or run the spec while there is no job yet."""
    if not read_committed(folder):
        if (folder / "runs.db").exists():
            none = stand.run(folder, "resume", "latest")
            assert none.returncode == 6, none
        return stand.run(folder, "run", "spec.yaml", "-q", failpoints=failpoints)
    return stand.run(folder, "resume", "latest", "-q", failpoints=failpoints)


def test_a_run_passes_every_place_that_there_is(stand: Stand) -> None:
    assert set(stand.hits) == set(PLACES)


@pytest.mark.parametrize("place", PLACES)
def test_a_job_killed_at_a_place_and_resumed_ends_as_it_must(stand: Stand, place: str) -> None:
    number = random.Random(f"{SEED} {place}").randint(1, stand.hits[place])
    # How many events share a commit is a matter of timing: this hit may not come.
    assert check_killed_at(stand, f"{place}@{number}") or check_killed_at(stand, f"{place}@1")


def test_a_job_killed_when_a_reply_was_committed_and_nothing_more_pays_for_none_twice(
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


@pytest.mark.parametrize("seed", range(QUICK_PAIRS))
def test_a_job_killed_again_while_it_is_resumed_ends_as_it_must(stand: Stand, seed: int) -> None:
    check_pair(stand, seed)


@pytest.mark.torture
@pytest.mark.parametrize("place", PLACES)
def test_a_job_killed_at_any_hit_of_a_place_ends_as_it_must(stand: Stand, place: str) -> None:
    times = stand.hits[place]
    killed = sum(check_killed_at(stand, f"{place}@{number}") for number in range(1, times + 1))
    assert killed >= max(1, times - 4)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(QUICK_PAIRS, PAIRS))
def test_a_job_killed_at_any_of_many_pairs_of_hits_ends_as_it_must(stand: Stand, seed: int) -> None:
    check_pair(stand, seed)


def check_pair(stand: Stand, seed: int) -> None:
    chance = random.Random(SEED + seed)
    # A resume has fewer hits than a run: the later the first crash, the fewer.
    again = chance.randint(1, len(stand.trace) // 2)
    check_killed_at(stand, chance.choice(stand.trace), f"*@{again}")
