"""`python -m benchmarks --record`: keeps figures in `results.json`, and renders `docs/performance.md`.

Each part is recorded with its date, so that one part can be measured again alone.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"


def record_part(name: str, figures: list[dict[str, Any]], *, rounds: int, took_s: float) -> None:
    """Replace the recorded figures of this part, with what is known of the machine."""
    found = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {"parts": {}}
    found["parts"][name] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": f"python -m benchmarks --record --rounds {rounds} --only {name}",
        "took_s": round(took_s),
        "machine": _machine(),
        "figures": figures,
    }
    RESULTS.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", "utf-8")


def render_page() -> None:
    """Rewrite the generated parts of the documentation, `docs/performance.md` among them."""
    subprocess.run([sys.executable, "docs/generate.py"], cwd=ROOT, check=True)


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
