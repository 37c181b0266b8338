"""A plugin of pytest for runs with mutants: no test finds what an earlier one has computed.

mutmut runs the tests that were seen to execute a function. With a filled cache, a function is
executed by the first test alone, and a mutant runs with what its parent process has computed.
"""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def _no_cached_results() -> None:
    """Empty the caches of all functions of orc."""
    modules = [module for name, module in sys.modules.items() if name.startswith("orc.")]
    for module in modules:
        for value in list(vars(module).values()):
            clear = getattr(value, "cache_clear", None)
            if clear is not None and getattr(value, "__module__", "") == module.__name__:
                clear()
