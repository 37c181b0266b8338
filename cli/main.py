"""The entry point of `orc`: it runs the typer application and turns errors into exit codes.

An expected error is printed as one message. Only a bug in orc prints a traceback. `--version` and
`--help` are answered without loading the application.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from types import TracebackType

from orc.cli.collector import leave_to_exit, pause_collector

_ABOUT_ORC = (["--version"], ["-V"], ["--help"], ["-h"])
"""The command lines that are answered without loading the application."""


def main() -> None:
    """Run the command line; the process exits with a code of `ledger/exit_codes.py`."""
    if sys.platform == "win32":
        print("orc does not run on Windows; use WSL, Linux or macOS", file=sys.stderr)
        sys.exit(7)
    _open_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal's encoding lacks is printed as its escape, as on stderr.
        sys.stdout.reconfigure(errors="backslashreplace")
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        # An inherited setting, with which the exit status of every command would be lost.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.excepthook = _print_traceback
    pause_collector()
    try:
        code = _run()
    finally:
        leave_to_exit()
    sys.exit(code)


def _open_standard_streams() -> None:
    """Open a standard stream that the caller has closed, with nothing behind it.

    Otherwise the next file that is opened would get its number, and what is printed.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is taken.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _run() -> int:
    printed = sys.stdout
    code: object
    try:
        code = _print_about() if sys.argv[1:] in _ABOUT_ORC else _run_command()
        _flush_output()
    except (BrokenPipeError, SystemExit) as error:
        # Typer turns a closed pipe into an exit, with a stream of its own in place of stdout.
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        # The reader of stdout has closed it. The rest of the output is dropped.
        os.dup2(os.open(os.devnull, os.O_WRONLY), printed.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        code = _explain(error)
    if code and not _is_outcome_of_job(code):
        _explain_missing_folder()
    return code if isinstance(code, int) else 0


def _flush_output() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        # Imported here, since it loads slowly, and is rarely needed.
        from orc.cli.terminal.text import output_errors

        with output_errors():
            raise


def _print_about() -> int:
    if sys.argv[1] in ("-h", "--help"):
        from orc.cli.root_help import root_help

        print(root_help())
    else:
        from orc.about import version

        print(f"orc {version()}")
    return 0


def _run_command() -> object:
    from orc.cli.terminal.reader_warnings import reader_warnings_printed
    from orc.cli.terminal.text import hide_keys

    hide_keys(os.environ)
    # To look for plugins, pydantic would read the metadata of every installed distribution.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if "ORC_FAILPOINTS" in os.environ:
        from orc.ledger.failpoints import arm_from_environment

        arm_from_environment()
    with reader_warnings_printed():
        return _call_read()


def _call_read() -> object:
    """Read the command line, by typer only where it is not plain, and call the command."""
    from orc.cli.plain_line import read_plain_line

    is_completion = "_ORC_COMPLETE" in os.environ
    if is_completion:
        from orc.cli.complete_line import asks_for_words, complete_line

        if asks_for_words(os.environ):
            return complete_line(os.environ)
    plain = None if is_completion else read_plain_line(sys.argv[1:])
    if plain is None:
        from orc.cli.app import app

        return app(standalone_mode=False)
    from orc.cli.call import call_command

    function, arguments = plain
    return call_command(lambda: function(**arguments), arguments)


def _is_outcome_of_job(code: object) -> bool:
    """Whether the code is that of a job which failed or waits, and nothing was missed."""
    from orc.ledger.exit_codes import BUDGET, FAILED, WAITING

    return code in (FAILED, WAITING, BUDGET)


def _explain_missing_folder() -> None:
    """Say that the current folder is gone: the system calls everything in it a missing file."""
    if not _has_folder():
        from orc.cli.terminal.text import say

        say("orc: the current folder was removed; change to one that exists, and try again")


def _has_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _explain(error: Exception) -> int:
    from orc.cli.errors import ReaderGone
    from orc.cli.exit_codes import code_for_error
    from orc.cli.named_secrets import hide_named_secrets
    from orc.cli.output_mask import mask_output
    from orc.cli.terminal.text import safe, say
    from orc.ledger.command_lines import next_command, with_advice
    from orc.ledger.exit_codes import SIGNALS, SUCCEEDED, USAGE
    from orc.scheduler.core.errors import SpecError

    hide_named_secrets(sys.argv[1:], os.environ)
    show = getattr(error, "show", None)
    if show is not None:
        # A usage error of typer prints itself. It quotes the command line, so it is made safe.
        message = io.StringIO()
        show(file=message)
        say(message.getvalue().rstrip("\n"))
        return USAGE
    if _is_abort(error):
        return SIGNALS["SIGINT"]
    if isinstance(error, ReaderGone):
        return SUCCEEDED
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    code = code_for_error(error)
    if isinstance(error, UnicodeEncodeError) and not all(map(_is_text, sys.argv)):
        say("orc: an argument is not valid UTF-8 text; no job or name in a ledger is like that")
        return USAGE
    if code is None:
        return _report_bug(error)
    if isinstance(error, SpecError):
        from orc.cli.terminal.problems import problem_lines

        for line in problem_lines(error):
            say(line if line.startswith("  ") else f"orc: {line}")
        return code
    if isinstance(error, FileNotFoundError) and not (error.filename or _has_folder()):
        return code
    # Masked before it is split, since a secret may have several lines.
    text = with_advice(mask_output(_message(error)), getattr(error, "advice", ""))
    for line in text.splitlines():
        say(f"orc: {safe(line)}")
    if command := next_command(text):
        say(f"next: {safe(command)}")
    return code


def _is_abort(error: Exception) -> bool:
    """Whether typer ended the command, at the end of its input."""
    if isinstance(error, EOFError):
        return True
    if "typer" not in sys.modules:
        return False
    import typer

    return isinstance(error, typer.Abort)


def _is_text(argument: str) -> bool:
    # Python keeps bytes of the command line that are not UTF-8 as lone surrogates.
    return not any("\ud800" <= character <= "\udfff" for character in argument)


def _print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print the traceback of a bug in orc, made safe: it may quote texts from outside."""
    import traceback

    from orc.cli.terminal.text import say

    say("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"))


def _report_bug(error: Exception) -> int:
    """Print the traceback of an unexpected error, with secrets hidden."""
    from orc.ledger.exit_codes import FAILED

    _print_traceback(type(error), error, error.__traceback__)
    return FAILED


def _message(error: Exception) -> str:
    from orc.ledger.scarcity import describe_system_error, find_shortage

    if isinstance(error, MemoryError):
        return (
            "there is not enough memory. All committed events are in the ledger; free some memory, "
            "then resume the job"
        )
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{describe_system_error(error)}"
    return find_shortage(error) or str(error)


if __name__ == "__main__":
    main()
