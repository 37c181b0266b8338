"""The suite does not depend on what its caller hands down: settings of Python, ignored signals.

Its files are in memory, where the system has room for them there: a commit waits for the disk, and
the suite commits some hundred thousand times. What is about disks says so, and injects their faults.

Python may keep the compiled modules, whatever the environment says.
The suite starts hundreds of interpreters. Where `PYTHONDONTWRITEBYTECODE` is set, as in many
container images, each of them would compile all of orc anew, and each worker of pytest would also
rewrite the assertions of every test module. The caches are in `__pycache__`, which git ignores.

Properties have the same examples in each run, so that a commit is judged alike on all machines. Long
runs (`-m torture`) look for new ones.

Signals that a script in the background, or `nohup`, ignores would be ignored by orc, too.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ["tests.budget"]

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30
WORKERS_MAX = 8
STARTED_IN = Path.cwd()

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # for the workers and every process of a test
sys.dont_write_bytecode = False

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


def _has_room(folder: Path) -> bool:
    """Whether the suite's folders can be there: it writes much, and runs programs of its own."""
    no_programs = getattr(os, "ST_NOEXEC", 0)  # macOS has no such flag
    if not os.access(folder, os.W_OK) or os.statvfs(folder).f_flag & no_programs:
        return False
    return shutil.disk_usage(folder).free >= ROOM_BYTES


def pytest_configure(config: pytest.Config) -> None:
    """Choose where the examples of properties come from, before a module makes its settings."""
    is_long = config.option.markexpr == "torture"
    hypothesis.settings.register_profile(
        "suite",
        derandomize=not is_long,
        print_blob=True,
        # How long an example takes says more of the machine's other work than of the code.
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("suite")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave the tests and modules, more than a million objects, out of each search for garbage.

    They stay to the end, and each worker would look at all of them again and again.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """Two workers for each core: half of a worker's time is spent with waiting for processes.

    With three workers for two cores, a third of the cores' time is idle. Each worker needs some
    seconds to find the tests, so that many of them gain nothing.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(2 * cores, WORKERS_MAX)


if _has_room(MEMORY):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))  # where pytest makes `tmp_path`


@pytest.fixture(scope="session", autouse=True)
def _temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """TMPDIR, with all that a killed process leaves there, is a folder that pytest removes later."""
    folder = tmp_path_factory.mktemp("temporary", numbered=False)
    with pytest.MonkeyPatch.context() as patches:
        patches.setenv("TMPDIR", str(folder))
        patches.setattr(tempfile, "tempdir", None)
        yield folder


@pytest.fixture(autouse=True)
def _returns() -> Iterator[None]:
    """The next test starts where the first one did: the folder of this one may be removed."""
    yield
    os.chdir(STARTED_IN)
