"""Every command by name, with its line in `orc --help`; what a command does is loaded when it runs.

Command `x` is the function `command` of `cli/commands/x.py`. A test compares each line with the
first line of the command's own help.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from keyword import iskeyword

COMMANDS = {
    "run": "Submit a spec as a job and run it to its end.",
    "resume": "Go on with a job that has stopped; with any job, by --spec.",
    "rerun": "Run steps of a job again, with all that follows.",
    "fork": "Submit a new job with the results of another.",
    "cancel": "End a job: commands get SIGTERM, and SIGKILL after ten seconds.",
    "approve": "Decide for a step that waits for a person.",
    "reject": "Decide against: the step fails, and what needs it does not run.",
    "replay": "Run a job again, offline, on its recorded replies.",
    "demo": "Run the example offline, on recorded replies.",
    "init": "Write a starting spec, with replies to try it offline.",
    "list": "List jobs, newest first.",
    "show": "Show a job: its steps, events, files, graph, timeline.",
    "blame": "Tell which step, prompt, model and reply made a file.",
    "why": "Tell why a step ran, waited, failed, or was skipped.",
    "diff": "Compare two jobs: spec, steps, texts, files, cost, time.",
    "cost": "Add up what calls to models cost, and what the caches saved.",
    "tail": "Print a job's events; with -f, go on until the job stops.",
    "logs": "Print what a step's commands and functions printed.",
    "search": "Search prompts, replies, logs and all that steps said.",
    "validate": "Check specs and print every error with its place.",
    "plan": "Say what a run would do, why, and what it would cost.",
    "graph": "Draw the graph of a spec, or of a job and its progress.",
    "schema": "Print the JSON Schema of specs, for editors.",
    "verify": "Check hash chains, blobs, tables and published files.",
    "rebuild": "Derive the tables anew from the events.",
    "export": "Write a job in another form: folder, page, trace, report.",
    "bundle": "Write one job to a file, for orc import elsewhere.",
    "import": "Take a bundled job into this ledger, after checking all of it.",
    "backup": "Copy the whole ledger to a file, while jobs go on.",
    "prune": "Remove the blobs of old jobs.",
    "redact": "Remove bytes that nobody may see.",
    "browse": "Show the ledger in a browser, until Ctrl-C.",
    "doctor": "Say what this installation has, and what is missing.",
    "chaos": "Kill a spec's run after each commit, resume it, compare.",
}
"""The names in the order of `orc --help`, and what each command does."""

ALIASES = {"list-runs": "list"}
"""Other names, which `orc --help` does not show, and the commands that they mean."""


def module_name(command: str) -> str:
    """The module of a command: named like it, with `_` after a keyword, which cannot be imported."""
    return f"orc.cli.commands.{command}{'_' if iskeyword(command) else ''}"


def load_function(name: str) -> Callable[..., int]:
    """The function of a command, or of an alias. Raises KeyError for an unknown name."""
    command = ALIASES.get(name, name)
    if command not in COMMANDS:
        raise KeyError(name)
    function: Callable[..., int] = import_module(module_name(command)).command
    return function
