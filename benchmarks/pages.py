"""Loads the pages of a ledger from `datasette serve LEDGER`."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import big_ledger
from benchmarks.figures import figure_of

EVENTS = 1_000_000
_EARLIER = 1_500
_START_S = 60


@contextmanager
def server(database: Path) -> Iterator[str]:
    """The address of a Datasette server on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "datasette", "serve", str(database), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{url}/-/versions.json", process)
        yield url
    finally:
        process.terminate()
        process.wait()


def load_ms(address: str) -> float:
    """Milliseconds from the request to the last byte of the page."""
    started = time.perf_counter()
    with urllib.request.urlopen(address, timeout=60) as answer:
        answer.read()
    return (time.perf_counter() - started) * 1000


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"datasette has not answered within {_START_S} s")


def figures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Pages of a ledger with a million events; the first load of each page is not measured."""
    database, job_id = big_ledger.make(folder, events=EVENTS)
    with server(database) as url:
        base = f"{url}/-/orc/{database.stem}"
        addresses = {
            "home": url,
            f"job of 1,000 steps as of event {_EARLIER}": f"{base}/{job_id}?at={_EARLIER}",
            "job of 1,000 steps": f"{base}/{job_id}",
        }
        table = f"{url}/{database.stem}/jobs"
        taken: dict[str, list[float]] = {name: [] for name in (*addresses, table)}
        for address in (*addresses.values(), table):
            load_ms(address)
        for _ in range(max(rounds, 1) * 5):
            for name, address in addresses.items():
                taken[name].append(load_ms(address))
            taken[table].append(load_ms(table))
    return [
        figure_of(
            f"a million events, page {name}: ms",
            taken[name],
            "Datasette's own page of the table jobs: ms",
            taken[table],
            target="" if "as of" in name else "<= 300 ms",
        )
        for name in addresses
    ]
