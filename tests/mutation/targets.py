"""Which sources are mutated, and the nearest tests, which must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Target:
    """Sources below `orc/`, and the tests that are run for their mutants.

    Sources of an earlier target are not those of a later one, although its folder has them.
    """

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]


TARGETS = (
    Target("own_folder", ("orc/cli/jobs/own_folder.py",), ("tests/cli/jobs/test_own_folder.py",)),
    Target(
        "own_schema",
        ("orc/projections/tables/own_schema.py",),
        ("tests/projections/tables/test_own_schema.py",),
    ),
    Target(
        "private_folder",
        ("orc/ledger/files/private_folder.py",),
        ("tests/ledger/files/test_private_folder.py",),
    ),
    Target(
        "work_folder",
        ("orc/scheduler/folders/work_folder.py",),
        (
            "tests/scheduler/folders/test_work_folder.py",
            "tests/scheduler/effects/test_private_folders.py",
        ),
    ),
    Target(
        "upstream",
        ("orc/scheduler/core/fold/upstream.py",),
        ("tests/scheduler/core/fold/test_upstream.py",),
    ),
    Target(
        "placing",
        ("orc/scheduler/core/rules/placing.py",),
        (
            "tests/scheduler/core/rules/test_placing.py",
            "tests/scheduler/core/rules/test_placing_interleaved.py",
        ),
    ),
    Target(
        "masking",
        ("orc/ledger/secrets",),
        ("tests/ledger/secrets",),
    ),
    Target(
        "trust",
        ("orc/cli/jobs/caller/trust.py", "orc/ledger/transport/untrusted.py"),
        ("tests/cli/jobs/caller", "tests/ledger/transport", "tests/cli/test_moved_large_files.py"),
    ),
    Target("transport", ("orc/ledger/transport",), ("tests/ledger/transport",)),
    Target("files", ("orc/ledger/files",), ("tests/ledger/files", "tests/test_planted_links.py")),
    Target("ledger", ("orc/ledger",), ("tests/ledger",)),
    Target(
        "rules",
        ("orc/scheduler/core/rules", "orc/scheduler/core/fold"),
        (
            "tests/scheduler/core/rules",
            "tests/scheduler/core/fold",
            "tests/scheduler/test_flow.py",
            "tests/scheduler/test_conversations.py",
            "tests/scheduler/test_waking.py",
        ),
    ),
    Target("language", ("orc/scheduler/core/language",), ("tests/scheduler/core/language",)),
    Target(
        "core",
        ("orc/scheduler/core",),
        ("tests/scheduler/core",),
    ),
)


def modules_of(target: Target) -> list[str]:
    """The modules of the target, without those of the targets before it."""
    earlier = TARGETS[: TARGETS.index(target)]
    taken = {path for other in earlier for source in other.sources for path in _modules(source)}
    found = {path for source in target.sources for path in _modules(source)}
    return sorted(found - taken)


def _modules(source: str) -> list[str]:
    path = ROOT / source
    paths = [path] if path.suffix == ".py" else path.rglob("*.py")
    return [str(one.relative_to(ROOT)) for one in paths if one.name != "__init__.py"]
