"""What a command finds around it: environment variables, processors and GPUs."""

from __future__ import annotations

import fcntl
import math
import os
import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from orc.worker.problems import WorkBroken
from orc.worker.wire import Assignment

GPU_WAIT_S = 5.0
"""How long a GPU may be held by a command that has just ended."""
_POLL_S = 0.1
_DEVICE = re.compile(r"nvidia(\d+)")
# The engine's own processes limit themselves by these. A command has processors of its own.
_NOT_INHERITED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def environment(
    work: Assignment, *, folders: Mapping[str, Path], secrets: Mapping[str, str], gpus: list[str]
) -> dict[str, str]:
    """The environment of the command; nothing else of the worker's own is in it."""
    found = {
        name: os.environ[name]
        for name in work.inherited
        if name in os.environ and name not in _NOT_INHERITED
    }
    found.setdefault("PATH", os.defpath)
    found.update(room_variables(work.resources))
    if gpus:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    found.update(work.env)
    found.update({name: str(folders[place]) for name, place in work.places.items()})
    found.update({name: secrets[name] for name in work.secrets})
    return found


def room_variables(resources: Mapping[str, float]) -> dict[str, str]:
    """What the work has asked for, for programs that adapt to it; the same on every executor."""
    found = {}
    cpu, gpu = resources.get("cpu"), resources.get("gpu")
    if cpu is not None:
        found["ORC_CPU"] = f"{cpu:g}"
        found["OMP_NUM_THREADS"] = str(max(1, math.floor(cpu)))
    if gpu is not None:
        found["ORC_GPU"] = f"{gpu:g}"
    return found


def hold_gpus(work: Assignment, folder: Path, holder: ExitStack) -> list[str]:
    """Free GPUs of this machine for the copy, until `holder` is closed.

    Empty if the work asks for none, or the machine's devices are not known. The agents of one
    machine exclude each other by locks in `folder`. Raises WorkBroken if too few are free.
    """
    wanted = math.ceil(work.resources.get("gpu", 0))
    devices = _devices() if wanted else []
    if not devices:
        return []
    deadline = time.monotonic() + GPU_WAIT_S
    while True:
        with ExitStack() as taking:
            found: list[str] = []
            for device in devices:
                if len(found) < wanted and _lock(folder / f"gpu-{_safe(device)}", taking):
                    found.append(device)
            if len(found) == wanted:
                holder.push(taking.pop_all())
                return found
        if time.monotonic() >= deadline:
            raise WorkBroken("environment", "not enough GPUs of this machine are free")
        time.sleep(_POLL_S)


def _safe(device: str) -> str:
    """A device's name as part of a file name; it may also be a UUID."""
    return re.sub(r"[^A-Za-z0-9-]", "_", device)


def _devices() -> list[str]:
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [one.strip() for one in given.split(",") if one.strip()]
    try:
        names = os.listdir("/dev")
    except OSError:
        return []
    return sorted((found[1] for name in names if (found := _DEVICE.fullmatch(name))), key=int)


def _lock(path: Path, holder: ExitStack) -> bool:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return False
    holder.callback(os.close, fd)
    return True
