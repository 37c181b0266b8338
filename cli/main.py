"""The entry point: the version without loading anything, else the typer application.

Errors that people can cause end here, as one message and an exit code.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from types import TracebackType


def main() -> None:
    """Run the command line; the process exits with a code of `ledger/exit_codes.py`."""
    if sys.platform == "win32":
        print("orc runs on Linux and macOS; on Windows use WSL", file=sys.stderr)
        sys.exit(7)
    # Started with a closed stream: without these, print would take another one for it.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What the terminal's encoding has no sign for is escaped, as on stderr.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.excepthook = _print_safely
    if sys.argv[1:] in (["--version"], ["-V"]):
        from orc.about import version

        print(f"orc {version()}")
        return
    sys.exit(_run())


def tune_collector() -> None:
    """Let the cyclic collector run seldom: the state of a job is large, lives long and has no cycles.

    At Python's own threshold it walks all of it again and again while a large job runs.
    """
    gc.set_threshold(100_000, 20, 50)


def _run() -> int:
    from orc.cli.app import app

    tune_collector()

    try:
        if "ORC_FAILPOINTS" in os.environ:
            from orc.ledger.failpoints import arm_from_environment

            arm_from_environment()
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone; it wants nothing more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _explain(error)
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> int:
    import typer

    from orc.cli.errors import ReaderGone
    from orc.cli.exit_codes import code_for_error
    from orc.cli.terminal.text import hide_keys, safe, say
    from orc.ledger.exit_codes import SIGNALS, SUCCEEDED, USAGE
    from orc.scheduler.core.errors import SpecError

    show = getattr(error, "show", None)
    if show is not None:
        # Typer's own usage errors print themselves, and quote the command line.
        told = io.StringIO()
        show(file=told)
        say(told.getvalue().rstrip("\n"))
        return USAGE
    if isinstance(error, typer.Abort):
        return SIGNALS["SIGINT"]
    if isinstance(error, ReaderGone):
        return SUCCEEDED
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    code = code_for_error(error)
    hide_keys(os.environ)
    if code is None:
        return _own_up(error)
    if isinstance(error, SpecError):
        from orc.cli.terminal.problems import problem_lines

        for line in problem_lines(error):
            say(line if line.startswith("  ") else f"orc: {line}")
        return code
    for line in _message(error).splitlines():
        say(f"orc: {safe(line)}")
    return code


def _print_safely(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """A traceback, which only a mistake of ours can lead to: its texts may be anybody's."""
    import traceback

    from orc.cli.terminal.text import say

    say("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"))


def _own_up(error: Exception) -> int:
    """What no rule foresaw, with all that whoever mends it needs, and without keys."""
    from orc.ledger.exit_codes import FAILED

    _print_safely(type(error), error, error.__traceback__)
    return FAILED


def _message(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory; what the ledger has is kept. Free some, then resume the job"
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error)


if __name__ == "__main__":
    main()
