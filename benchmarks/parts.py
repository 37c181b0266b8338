"""The parts of the benchmarks, by the name that `--only` takes; each makes its figures in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import (
    calls,
    contents,
    costs,
    evaluations,
    items,
    pages,
    peers,
    rates,
    reading,
    scores,
    start,
    submission,
)

Figures = Callable[[Path, int], list[dict[str, Any]]]
"""It takes a folder on a disk, and the number of rounds."""


def _cluster(folder: Path, rounds: int) -> list[dict[str, Any]]:
    # Imported here, since the help for tests comes with it, which takes memory.
    from benchmarks import cluster

    return cluster.figures(folder, rounds)


PARTS: Mapping[str, Figures] = {
    "chain": rates.chain,
    "fans": rates.fans,
    "items": items.figures,
    "layers": rates.layers,
    "prompts": rates.prompts,
    "calls": calls.figures,
    "streams": calls.stream_figures,
    "commands": rates.commands,
    "functions": rates.functions,
    "captures": items.capture_figures,
    "costs": costs.figures,
    "reading": reading.figures,
    "contents": contents.figures,
    "start": start.figures,
    "submission": submission.figures,
    "pages": pages.figures,
    "evaluations": evaluations.figures,
    "scores": scores.figures,
    "cluster": _cluster,
    "peers": peers.figures,
}
LONG = ("cluster", "reading", "contents", "pages", "evaluations", "peers")
"""Parts that take minutes, or need more: `--record` leaves them out unless `--only` names them."""
