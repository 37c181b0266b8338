"""Measures the first success of a new user: `python benchmarks/first_success.py [--ref REF] [--json]`.

In a new folder, with a home and a cache of pip that are empty: a clone of this repository, `make demo`,
and a spec of one's own, which is run with recorded replies. For each phase it prints the time, the
time until the first line of output, and the longest time without one: a newcomer takes a silent
program for one that hangs. Needs git, make and Python 3.11; nothing else of this repository is used.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPEC = """\
project: hello
steps:
  poem:
    prompt: Write two lines about rivers.
"""
REPLIES = """\
version: 1
replies: {poem: [{text: Two lines.}]}
"""


@dataclass(frozen=True, slots=True)
class Phase:
    """What a command took, in seconds: in all, to its first line, and its longest silence.

    `cpu_s` is processor time, which a busy machine changes little.
    """

    name: str
    total_s: float
    cpu_s: float
    first_line_s: float | None
    longest_silence_s: float
    lines: int


def main() -> int:
    """Measure, and print the phases; 1 if a command failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--ref", default="HEAD", help="the commit to measure; default HEAD")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orc-first-") as name:
        try:
            phases = measure(Path(name), ref=options.ref)
        except subprocess.CalledProcessError as error:
            sys.stderr.write(f"{error}\n{error.output}")
            return 1
    total_s = sum(phase.total_s for phase in phases)
    if options.json:
        print(json.dumps({"phases": [asdict(phase) for phase in phases], "total_s": total_s}))
        return 0
    heads = ("TIME", "PROCESSOR", "FIRST LINE", "LONGEST SILENCE", "LINES")
    print(f"{'PHASE':28}" + "".join(f"{head:>17}" for head in heads))
    for phase in phases:
        first = "-" if phase.first_line_s is None else f"{phase.first_line_s:.1f} s"
        cells = (
            f"{phase.total_s:.1f} s",
            f"{phase.cpu_s:.1f} s",
            first,
            f"{phase.longest_silence_s:.1f} s",
            str(phase.lines),
        )
        print(f"{phase.name:28}" + "".join(f"{cell:>17}" for cell in cells))
    cpu_s = sum(phase.cpu_s for phase in phases)
    print(f"{'from nothing to own spec':28}{f'{total_s:.1f} s':>17}{f'{cpu_s:.1f} s':>17}")
    return 0


def measure(folder: Path, *, ref: str) -> list[Phase]:
    """Each phase, in its order."""
    clone, home = folder / "orc", folder / "home"
    home.mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith("_API_KEY") and not name.startswith(("ORC_", "VIRTUAL_ENV"))
    }
    environment |= {"PIP_CACHE_DIR": str(home / "pip"), "XDG_CACHE_HOME": str(home / "cache")}
    commit = subprocess.run(
        ["git", "rev-parse", ref], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    cloning = (
        f"git clone --quiet --no-local '{ROOT}' '{clone}' && git -C '{clone}' checkout -q {commit}"
    )
    (home / "hello.yaml").write_text(SPEC, "utf-8")
    (home / "hello.replay.yaml").write_text(REPLIES, "utf-8")
    orc = clone / ".venv/bin/orc"
    return [
        run("git clone", cloning, folder, environment),
        run("make demo", "make demo", clone, environment),
        run("orc run, a spec of one's own", f"'{orc}' run hello.yaml -p replay", home, environment),
    ]


def run(name: str, command: str, folder: Path, environment: dict[str, str]) -> Phase:
    """Run a command of the shell, and note when it printed. Raises CalledProcessError."""
    begun_s = last_s = time.monotonic()
    used_s = children_s()
    first_s: float | None = None
    silence_s, lines = 0.0, []
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            now_s = time.monotonic()
            first_s = now_s - begun_s if first_s is None else first_s
            silence_s = max(silence_s, now_s - last_s)
            last_s = now_s
            lines.append(line)
    code = process.wait()
    ended_s = time.monotonic()
    if code:
        raise subprocess.CalledProcessError(code, command, "".join(lines))
    silence_s = max(silence_s, ended_s - last_s)
    cpu_s = children_s() - used_s
    return Phase(name, ended_s - begun_s, cpu_s, first_s, silence_s, len(lines))


def children_s() -> float:
    """The processor time of this process's children that have ended."""
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    sys.exit(main())
