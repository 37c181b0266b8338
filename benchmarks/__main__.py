"""Prints each measured figure and its ratio to a yardstick.

Options: --json, --rounds N, --only PART (such as `cluster`; may be given again), --record (one round;
keeps the figures in `benchmarks/results.json` and renders `docs/performance.md`).

Every round measures the yardstick right before and right after the job that is compared with it,
because the speed of a disk changes within seconds. The ratio is the median over all rounds.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import (
    big_ledger,
    calls,
    costs,
    evaluations,
    items,
    jobs,
    pages,
    recording,
    scores,
    start,
    submission,
    yardsticks,
)
from benchmarks.figures import figure_of, line_of
from orc.cli.collector import tune_collector

_EVENTS = 1_000_000
_EARLIER = 1_500
_ITEMS = 100_000
_SORTED = "/{0}/step/answer?sort=descending&by=1"
_COMPARED = "/compare?job={0}&job={1}"


def main() -> None:
    """Run every measurement, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--rounds", type=int)
    parts = {measure.__name__[1:]: measure for measure in _MEASURES}
    parser.add_argument("--only", action="append", choices=parts, metavar="PART")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.record else 3)
    chosen = options.only or [
        name for name in parts if not (options.record and name in recording.LONG)
    ]
    tune_collector()
    figures: list[dict[str, Any]] = []
    # In the current folder, not in /tmp, which may be in memory, where a sync costs nothing.
    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as name:
        folder = Path(name).absolute()
        for name_of_part in chosen:
            began = time.monotonic()
            found = parts[name_of_part](folder, rounds)
            figures += found
            if not options.json:
                print("\n".join(map(line_of, found)), flush=True)
            if options.record and found:
                took_s = time.monotonic() - began
                recording.record_part(name_of_part, found, rounds=rounds, took_s=took_s)
    if options.record:
        recording.render_page()
    if options.json:
        print(json.dumps(figures, indent=2))


def _chain(folder: Path, rounds: int) -> list[dict[str, Any]]:
    rates, raws = _beside_commits(
        folder, rounds, lambda: 1000 / jobs.run_job(folder, jobs.chain(1000))[0]
    )
    return [
        figure_of("chain of 1,000: steps/s", rates, "raw one-row commits/s", raws, target=">= 0.8")
    ]


def _fans(folder: Path, rounds: int) -> list[dict[str, Any]]:
    small: list[float] = []
    large: list[float] = []
    folded: list[float] = []
    grouped: list[float] = []
    for _ in range(rounds):
        small.append(jobs.run_job(folder, jobs.fan(1000))[0] / 1000)
        grouped.append(yardsticks.commits_per_s(folder, rows=20_000, rows_a_commit=1000))
        took_s, database = jobs.run_job(folder, jobs.fan(10_000))
        large.append(took_s / 10_000)
        folded.append(jobs.events_folded_per_s(database))
    return [
        figure_of(
            "fan of 10,000: steps/s",
            [1 / cost for cost in large],
            "raw rows/s, 1,000 a commit",
            grouped,
            target=">= 5,000 steps/s",
        ),
        figure_of(
            "cost of a step, fan of 10,000: us",
            [cost * 1e6 for cost in large],
            "the same, fan of 1,000: us",
            [cost * 1e6 for cost in small],
            target="<= 1.2",
        ),
        figure_of("events folded/s", folded, "", [], target=""),
    ]


def _items(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Processor time, because the job with most items would wait long for its commits."""
    small: list[items.ItemCost] = []
    large: list[items.ItemCost] = []
    for _ in range(rounds):
        small.append(items.item_cost(folder, 1000, times=3))
        large.append(items.item_cost(folder, _ITEMS))
    return [
        figure_of(
            f"{name} an item, for_each over {_ITEMS:,}: {unit}",
            [getattr(cost, field) * scale for cost in large],
            f"the same, over 1,000: {unit}",
            [getattr(cost, field) * scale for cost in small],
            target="<= 1.2",
        )
        for name, field, unit, scale in (
            ("orc run,", "run_s", "us", 1e6),
            ("orc verify,", "verify_s", "us", 1e6),
            ("memory of orc run,", "memory_bytes", "kB", 1e-3),
        )
    ]


def _layers(folder: Path, rounds: int) -> list[dict[str, Any]]:
    rates, raws = _beside_commits(
        folder, rounds, lambda: 1000 / jobs.run_job(folder, jobs.layers(10, 100))[0]
    )
    return [figure_of("ten layers of a hundred: steps/s", rates, "raw one-row commits/s", raws)]


def _prompts(folder: Path, rounds: int) -> list[dict[str, Any]]:
    spec, replies = jobs.prompts(1000)
    rates, raws = _beside_commits(
        folder, rounds, lambda: 1000 / jobs.run_job(folder, spec, replies=replies)[0]
    )
    return [
        figure_of(
            "1,000 replay prompts, 100 at once: steps/s", rates, "raw one-row commits/s", raws
        )
    ]


def _calls(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Calls to an API on loopback. The first calls are not measured, since they load the SDK."""
    durable: list[float] = []
    bare: list[float] = []
    with calls.model_server() as url:
        spec, environment = jobs.calls(1000), calls.environment(url)
        calls.sdk_s(url, calls=100, at_once=100)
        jobs.run_job(folder, jobs.calls(100), environment=environment)
        for _ in range(rounds):
            before = calls.sdk_s(url, calls=1000, at_once=100)
            durable.append(jobs.run_job(folder, spec, environment=environment)[0])
            after = calls.sdk_s(url, calls=1000, at_once=100)
            bare.append((before + after) / 2)
    return [
        figure_of(
            "1,000 calls, 100 at once, each durable: ms a call",
            durable,
            "OpenAI SDK alone: ms a call",
            bare,
            target="<= 1.3",
        )
    ]


def _streams(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Processor time of streams that last as long as their server wants; the SDK is loaded before."""
    through, bare = [], []
    seconds, per_s = 10, 50
    with calls.model_server() as url:
        calls.sdk_s(url, calls=1, at_once=1)
        jobs.run_job(folder, jobs.calls(1), environment=calls.environment(url))
    with calls.stream_server(tokens=seconds * per_s, per_s=per_s) as url:
        spec, environment = jobs.calls(100), calls.environment(url)
        for _ in range(rounds):
            before_s = time.process_time()
            calls.sdk_s(url, calls=100, at_once=100)
            between_s = time.process_time()
            jobs.run_job(folder, spec, environment=environment)
            bare.append(100 * (between_s - before_s) / seconds)
            through.append(100 * (time.process_time() - between_s) / seconds)
    return [
        figure_of(
            "100 streams of 50 tokens/s: % of a core",
            through,
            "OpenAI SDK alone: % of a core",
            bare,
            target="at most 5 above",
        )
    ]


def _commands(folder: Path, rounds: int) -> list[dict[str, Any]]:
    rates = [200 / jobs.run_job(folder, jobs.commands(200))[0] for _ in range(rounds)]
    spawns = [1 / yardsticks.start_s(["/bin/sh", "-ec", "true"]) for _ in range(rounds)]
    return [
        figure_of(
            "200 times run: 'true', 4 at once: steps/s",
            rates,
            "sh -ec true, one by one: /s",
            spawns,
        )
    ]


def _captures(folder: Path, rounds: int) -> list[dict[str, Any]]:
    small: list[float] = []
    large: list[float] = []
    for _ in range(rounds):
        small.append(items.capture_s(folder, 200, times=3) * 1e3)
        large.append(items.capture_s(folder, 2000) * 1e3)
    return [
        figure_of(
            "2,000 commands that capture a file: ms a command",
            large,
            "the same, 200: ms",
            small,
            target="<= 1.2",
        )
    ]


def _start(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """The processor time of commands that do little, which is mostly their start."""
    _, database = jobs.run_job(folder, jobs.chain(10))
    with closing(sqlite3.connect(database)) as connection:
        job_id, step = connection.execute("SELECT job_id, name FROM steps LIMIT 1").fetchone()
    commands = start.starts(folder, database, job_id, step)
    taken: dict[str, list[float]] = {each.name: [] for each in commands}
    yards: dict[str, list[float]] = {each.imports: [] for each in commands}
    for _ in range(rounds):
        for imports, found in yards.items():
            found.append(start.imports_s(imports))
        for each in commands:
            taken[each.name].append(start.orc_s(each.arguments))
    return [
        figure_of(
            f"{each.name}: processor s",
            taken[each.name],
            f"python -c 'import {each.imports}': processor s",
            yards[each.imports],
            target=f"<= {each.ratio_max}",
        )
        for each in commands
    ]


def _submission(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """What each step costs until it is recorded, in memory where the system has `/dev/shm`."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else folder) as name:
        return submission.figures(Path(name), rounds)


def _pages(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Pages of a ledger with a million events; the first load of each page is not measured."""
    database, job_id = big_ledger.make(folder, events=_EVENTS)
    with pages.server(database) as url:
        base = f"{url}/-/orc/{database.stem}"
        addresses = {
            "home": url,
            f"job of 1,000 steps as of event {_EARLIER}": f"{base}/{job_id}?at={_EARLIER}",
            "job of 1,000 steps": f"{base}/{job_id}",
        }
        table = f"{url}/{database.stem}/jobs"
        taken: dict[str, list[float]] = {name: [] for name in (*addresses, table)}
        for address in (*addresses.values(), table):
            pages.load_ms(address)
        for _ in range(max(rounds, 1) * 5):
            for name, address in addresses.items():
                taken[name].append(pages.load_ms(address))
            taken[table].append(pages.load_ms(table))
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


def _evaluations(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Processor time of pages of jobs with many scored items, beside those of a tenth of the items."""
    figures = []
    many, few = evaluations.make(folder, 9_999), evaluations.make(folder, 999)
    both = evaluations.make(folder, 3_000, jobs=2), evaluations.make(folder, 300, jobs=2)
    for name, (large, small), page, is_first in (
        ("9,999 items", (many, few), "/{0}/step/answer", False),
        ("9,999 items, sorted by a column", (many, few), _SORTED, False),
        ("results of 3,000 items, first", both, "/{0}/results", True),
        ("results of 3,000 items, later", both, "/{0}/results", False),
        ("comparison of 3,000 items, first", both, _COMPARED, True),
        ("comparison of 3,000 items, later", both, _COMPARED, False),
    ):
        taken: list[list[float]] = []
        for database, ids in (large, small):
            served, address = evaluations.Pages(database), page.format(*ids)
            served.cpu_ms(address)
            times = max(rounds, 1) * 3
            taken.append([served.cpu_ms(address, is_first=is_first) for _ in range(times)])
        figures.append(
            figure_of(
                f"page of {name}: ms CPU",
                taken[0],
                "the same, a tenth of the items: ms CPU",
                taken[1],
                target="<= 300 ms",
            )
        )
    return figures


def _costs(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """What a step costs in processor time and memory, without a disk where the system has `/dev/shm`."""
    return costs.figures(folder, rounds)


def _cluster(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Steps on a cluster, each beside the same on this machine without one."""
    # Imported here, since the help for tests comes with it, which takes memory.
    from benchmarks import cluster

    reason = cluster.left_out()
    if reason:
        print(f"The part `cluster` is left out, since {reason}", file=sys.stderr)
        return []
    chains: dict[str, list[float]] = {name: [] for name in cluster.EXECUTORS}
    fans: dict[str, list[cluster.Fan]] = {name: [] for name in cluster.EXECUTORS}
    files: dict[str, list[tuple[float, int, int]]] = {name: [] for name in cluster.EXECUTORS}
    with cluster.bench(folder) as bench:
        for _ in range(rounds):
            for name in cluster.EXECUTORS:
                chains[name].append(bench.chain_ms(name))
                fans[name].append(bench.fan(name))
                files[name].append(bench.file(name))
        death_s = bench.death_s()
        commit_s = cluster.PLACED / yardsticks.commits_per_s(
            folder, rows=cluster.PLACED, rows_a_commit=1
        )
        adoption_s, resume_s = bench.adoption_s()
    remote, local = cluster.EXECUTORS
    return [
        figure_of(
            "true on a cluster, one by one: ms a step",
            chains[remote],
            "the same, local: ms",
            chains[local],
            target="<= 20 ms",
        ),
        figure_of(
            "300 times true, 2 workers: steps/s",
            [fan.steps_per_s for fan in fans[remote]],
            "the same, local, 4 at once: steps/s",
            [fan.steps_per_s for fan in fans[local]],
            target=">= 180 steps/s",
        ),
        figure_of(
            "300 times true, all processes: ms CPU a step",
            [fan.cpu_ms for fan in fans[remote]],
            "the same, local: ms",
            [fan.cpu_ms for fan in fans[local]],
            target="<= 2.2",
        ),
        figure_of(
            "memory of a coordinator with a cluster: MB",
            [fan.coordinator_bytes / 1e6 for fan in fans[remote]],
            "without: MB",
            [fan.coordinator_bytes / 1e6 for fan in fans[local]],
            target="<= 5 MB more",
        ),
        figure_of(
            "a file of 64 MB from a worker: MB/s",
            [rate / 1e6 for rate, _, _ in files[remote]],
            "the same, local: MB/s",
            [rate / 1e6 for rate, _, _ in files[local]],
            target=">= 150 MB/s",
        ),
        figure_of(
            "the same, memory of the coordinator: MB",
            [memory / 1e6 for _, memory, _ in files[remote]],
            "the same, local: MB",
            [memory / 1e6 for _, memory, _ in files[local]],
            target="<= 100 MB",
        ),
        figure_of(
            "the same, memory of the driver: MB",
            [memory / 1e6 for _, _, memory in files[remote]],
            "the file: MB",
            [cluster.FILE_BYTES / 1e6] * rounds,
            target="<= 100 MB",
        ),
        figure_of(
            f"{cluster.PLACED} placed steps are adopted, from job.resumed: s",
            [adoption_s],
            "as many raw one-row commits: s",
            [commit_s],
            target="<= 2 s",
        ),
        figure_of(
            "the same, from the start of orc resume: s",
            [resume_s],
            "from job.resumed: s",
            [adoption_s],
        ),
        figure_of(
            "the command of a frozen worker is dead: s",
            [death_s],
            "its lease: s",
            [cluster.LEASE_S],
            target="<= 1",
        ),
    ]


def _scores(folder: Path, rounds: int) -> list[dict[str, Any]]:
    rows = scores.rows(folder, rounds, cases=1000)
    return [
        figure_of(name, values, beside, yards, target=target)
        for name, values, beside, yards, target in rows
    ]


_MEASURES = (
    _chain,
    _fans,
    _items,
    _layers,
    _prompts,
    _calls,
    _streams,
    _commands,
    _captures,
    _costs,
    _start,
    _submission,
    _pages,
    _evaluations,
    _scores,
    _cluster,
)


def _beside_commits(
    folder: Path, rounds: int, measure: Callable[[], float]
) -> tuple[list[float], list[float]]:
    rates, raws = [], []
    for _ in range(rounds):
        before = yardsticks.commits_per_s(folder, rows=1000, rows_a_commit=1)
        rates.append(measure())
        after = yardsticks.commits_per_s(folder, rows=1000, rows_a_commit=1)
        raws.append((before + after) / 2)
    return rates, raws


if __name__ == "__main__":
    main()
