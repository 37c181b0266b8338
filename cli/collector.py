"""When Python's cyclic garbage collector runs: not while a command loads, and rarely afterwards."""

from __future__ import annotations

import gc


def pause_collector() -> None:
    """Switch the collector off while modules load: what they make lives until the process ends."""
    gc.disable()
    tune_collector()


def tune_collector() -> None:
    """Make the cyclic garbage collector run less often.

    The state of a job is large, lives long and has no cycles. With Python's default thresholds,
    the collector would traverse all of it many times while a large job runs.
    """
    gc.set_threshold(100_000, 20, 50)


def start_collector() -> None:
    """Switch the collector on again; it never traverses what has been loaded until now."""
    gc.freeze()
    gc.enable()


def leave_to_exit() -> None:
    """Let the interpreter end without a search for cycles: the system frees all memory at once."""
    gc.freeze()
