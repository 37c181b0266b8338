"""Every command by name, with the first line of its help. A command's module is imported when it runs.

Command `x` is the function `command` of `cli/commands/x.py`. A test compares each line with the
first line of the command's own help.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from keyword import iskeyword
from typing import NamedTuple

ABOUT = (
    "Run pipelines of model calls, commands and functions from a YAML file. Every step is recorded, so "
    "that a job can be resumed after any crash."
)
"""What orc is, as `orc --help` says it."""
OPTIONS = (
    ("-V, --version", "Print the version and exit."),
    ("--install-completion", "Install completion for the current shell."),
    (
        "--show-completion",
        "Show completion for the current shell, to copy it or customize the installation.",
    ),
    ("-h, --help", "Show this message and exit."),
)
"""The options of `orc` itself, with their help."""

COMMANDS = {
    "run": "Submit a spec as a job and run it to its end.",
    "submit": "Put a spec into the queue; orc work runs it.",
    "work": "Run the jobs of the queue, until it is told to stop.",
    "resume": "Continue a job that has stopped; with --spec, amend it first.",
    "rerun": "Run steps of a job again, with all their dependents.",
    "fork": "Submit a new job that reuses the results of another job.",
    "cancel": "Cancel a job and stop its commands.",
    "approve": "Approve a step that waits for human review.",
    "reject": "Reject a step that waits for human review; the step fails.",
    "replay": "Run a job again from its recorded replies, and compare.",
    "demo": "Run the example offline, from recorded replies.",
    "init": "Write a starter spec, with replies and files to try it offline.",
    "list": "List jobs, newest first.",
    "show": "Show a job or one step: texts, events, files, graph or timeline.",
    "blame": "Show which step, prompt, model and reply produced a file.",
    "why": "Explain why a step ran, waited, failed or was skipped.",
    "diff": "Compare two jobs: spec, steps, texts, files, cost and time.",
    "scores": "Show the scores of a job, or compare those of two jobs.",
    "score": "Record your own scores of a step's result.",
    "tag": "Add tags to a job, and remove others.",
    "note": "Add a note to a job.",
    "cost": "Add up what model calls cost, and what the caches saved.",
    "tail": "Print a job's events; with -f, follow it until it stops.",
    "logs": "Print the output of a step's commands and functions.",
    "search": "Search prompts, replies, tool calls, outputs and logs.",
    "validate": "Check specs and print each error with its line and column.",
    "plan": "Show what a run would do, why, and what it would cost.",
    "graph": "Draw the graph of a spec, or of a job with its progress.",
    "schema": "Print the JSON Schema of specs, for editors.",
    "verify": "Check hash chains, blobs, tables and published files.",
    "rebuild": "Rebuild the tables from the events.",
    "export": "Export a job as a folder, HTML page, trace or test report.",
    "bundle": "Write one job to a file that orc import can read.",
    "import": "Import a job from a bundle, after checking all of it.",
    "backup": "Copy the whole ledger to a file; jobs may keep running.",
    "prune": "Remove the blobs of old jobs; their events stay.",
    "redact": "Remove given bytes from the ledger and the run folders.",
    "browse": "Show the ledger in a web browser, until Ctrl-C.",
    "mcp": "Serve the ledger to MCP clients over stdin and stdout.",
    "executors": "Connect to executors: versions, TLS, workers, capacity, lease.",
    "cluster": "Start a scheduler or a worker with safe settings; make certificates.",
    "doctor": "Check versions, packages, the ledger, prices and providers.",
    "chaos": "Test a spec: kill its run after each commit, resume, compare.",
}
"""The names in the order of the documentation, with the first line of each command's help."""


class CommandGroup(NamedTuple):
    """The commands for one purpose: `orc --help` explains `first` and names the `others`."""

    first: tuple[str, ...]
    others: tuple[str, ...]


GROUPS = {
    "Run": CommandGroup(
        ("init", "run", "resume", "approve"),
        ("submit", "work", "rerun", "fork", "cancel", "reject", "replay", "demo"),
    ),
    "Inspect": CommandGroup(
        ("list", "show", "why", "browse"),
        ("blame", "tail", "logs", "search", "cost", "tag", "note"),
    ),
    "Compare": CommandGroup(("scores", "diff"), ("score",)),
    "Keep": CommandGroup(
        ("verify", "backup"), ("export", "bundle", "import", "prune", "redact", "rebuild")
    ),
    "Tools": CommandGroup(
        ("validate", "plan", "doctor"), ("graph", "schema", "mcp", "executors", "cluster", "chaos")
    ),
}
"""The commands by purpose, as `orc --help` shows them."""

ALIASES = {"list-runs": "list"}
"""Other names of commands. `orc --help` does not show them."""

_OTHER_WORDS = {
    "orc list": "ls ps jobs runs",
    "orc show": "status info describe inspect get",
    "orc show JOB --events": "events history",
    "orc run": "start exec execute",
    "orc submit": "enqueue queue",
    "orc work": "worker",
    "orc resume": "continue retry",
    "orc cancel": "stop kill abort",
    "orc approve": "answer decide confirm",
    "orc tail": "watch attach follow",
    "orc browse": "ui web serve open dashboard",
    "orc search": "find grep",
    "orc validate": "lint check",
    "orc init": "new create",
    "orc prune": "rm remove delete del clean gc",
    "orc graph": "dag",
    "orc diff": "compare",
    "orc why": "explain",
    "orc doctor": "providers models",
    "orc --version": "version",
    "orc --help": "help",
}


def other_word(name: str) -> str:
    """What does in orc what a command of this name does elsewhere; empty for any other name."""
    return next((meant for meant, words in _OTHER_WORDS.items() if name in words.split()), "")


def module_name(command: str) -> str:
    """The module of a command: its name, with `_` appended to a Python keyword (`import_`)."""
    return f"orc.cli.commands.{command}{'_' if iskeyword(command) else ''}"


def load_function(name: str) -> Callable[..., int]:
    """The function of a command, or of an alias. Raises KeyError for an unknown name."""
    command = ALIASES.get(name, name)
    if command not in COMMANDS:
        raise KeyError(name)
    function: Callable[..., int] = import_module(module_name(command)).command
    return function
