"""Installs orc into an environment and says what it does: `python .github/install.py .venv '.[test]'`.

The Makefile calls it. pip alone prints nothing for most of a minute, or hundreds of lines. Here each
package has one line, which is rewritten on a terminal. If pip fails, all that it printed is shown.
Needs the standard library only.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

_PACKAGE = re.compile(r"^(?:Collecting|Requirement already satisfied:) ([A-Za-z0-9_.-]+)")
_INSTALLING = re.compile(r"^Installing collected packages: (.+)")
WIDTH = 78


def main(arguments: list[str]) -> int:
    """Install; the exit code of pip."""
    environment, wanted, *options = arguments
    python = str(Path(environment) / "bin" / "python")
    # Each module is compiled when it is first imported: most of them never are.
    command = [python, "-m", "pip", "install", "--no-compile", "--disable-pip-version-check"]
    print(
        f"Installing orc and the packages that it needs into {environment} (once) ...", flush=True
    )
    begun_s = time.monotonic()
    process = subprocess.Popen(
        [*command, "--progress-bar", "off", *options, "--editable", wanted],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed = show(process.stdout, sys.stdout, is_terminal=sys.stdout.isatty())
    code = process.wait()
    if code:
        sys.stdout.write(printed)
    else:
        print(f"Installed in {time.monotonic() - begun_s:.0f} s.", flush=True)
    return code


def show(lines: IO[str], out: IO[str], *, is_terminal: bool) -> str:
    """Show what pip does, a line a package; all that it printed."""
    printed, seen = [], set()
    for line in lines:
        printed.append(line)
        found, installing = _PACKAGE.match(line), _INSTALLING.match(line)
        if installing:
            text = f"  writing {len(installing[1].split(', '))} packages"
        elif found and found[1].lower() not in seen:
            seen.add(found[1].lower())
            text = f"  {len(seen)}: {found[1]}"
        elif line.startswith("Building"):
            text = f"  {line.strip().lower()}"
        else:
            continue
        out.write(f"\r{text[:WIDTH]:{WIDTH}}" if is_terminal else f"{text}\n")
        out.flush()
    if is_terminal:
        out.write(f"\r{'':{WIDTH}}\r")
    return "".join(printed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
