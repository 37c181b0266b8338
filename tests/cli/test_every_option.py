"""Each option of each command makes a difference: the command is given with it and without it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from orc.cli.command_table import COMMANDS
from orc.cli.lazy_group import _build_command
from tests.cli.command_line import orc, write
from tests.processes import ROOT

SPEC = """\
project: p
provider: replay
inputs: {name: {default: x}}
steps:
  ask: {prompt: "say ${{ inputs.name }}"}
  make: {needs: ask, run: "echo made", files: [{path: made.txt, content: text}]}
  each: {needs: ask, for_each: ITEMS, value: "${{ item }}", score: {odd: "${{ output % 3 }}"}}
  tolerated: {needs: ask, run: exit 1, continue_on_error: true}
"""
ITEMS = str(list(range(101)))
OPEN = "project: open\nsteps:\n  gate: {approval: May I?}\n  next: {needs: gate, value: 1}\n"
SLOW = "project: slow\ntimeout: 50ms\nsteps: {a: {run: sleep 0.1}, b: {needs: a, value: 1}}\n"
PAID = SPEC.replace("inputs:", "budget: {max_calls: 0}\ninputs:")


def begin(situation: str) -> None:
    """Make the situation, in the current folder."""
    write("spec.yaml", SPEC.replace("ITEMS", "[1]"))
    write("other.yaml", SPEC.replace("ITEMS", "[1, 2]"))
    write("open.yaml", OPEN)
    write("slow.yaml", SLOW)
    write("paid.yaml", PAID.replace("ITEMS", "[1]"))
    write("delivered.yaml", SPEC.replace("ITEMS", "[1]") + "output_dir: out\n")
    write("inputs.yaml", "name: y\n")
    for name in ("spec", "other", "paid", "delivered"):
        write(f"{name}.replay.yaml", "version: 1\nreplies: {ask: [hello]}\n")
    write("good.replay.yaml", "version: 1\nreplies: {ask: [good day]}\n")
    Path("out").mkdir()
    write("out/made.txt", "mine")
    match situation:
        case "job":
            assert orc("run", "spec.yaml").code == 0
        case "two jobs":
            assert orc("run", "spec.yaml").code == orc("run", "other.yaml").code == 0
        case "worse":
            write("spec.yaml", SPEC.replace("ITEMS", "[1, 2, 4, 6, 8]"))
            write("other.yaml", SPEC.replace("ITEMS", "[1, 2, 4, 6, 8]").replace("% 3", "% 2"))
            assert orc("run", "spec.yaml").code == orc("run", "other.yaml").code == 0
        case "tagged":
            assert orc("run", "other.yaml", "--tag", "mine").code == 0
        case "wide job":
            write("wide.yaml", SPEC.replace("ITEMS", ITEMS).replace("replay", "replay"))
            assert orc("run", "wide.yaml", "--replies", "spec.replay.yaml").code == 0
        case "open":
            assert orc("run", "open.yaml").code == 3
        case "part":
            assert orc("run", "spec.yaml", "--until", "ask").code == 0
        case "slow":
            assert orc("run", "slow.yaml").code == 1
        case "paid":
            assert orc("run", "paid.yaml").code == 4
        case "delivered":
            assert orc("run", "delivered.yaml").code == 7
        case "queued":
            assert orc("submit", "spec.yaml").code == 0
        case "bundle":
            assert orc("run", "spec.yaml").code == 0
            assert orc("bundle", "latest", "job.orc").code == 0
            Path("runs.db").rename("first.db")
        case "imported":
            assert orc("run", "spec.yaml").code == 0
            assert orc("bundle", "latest", "job.orc").code == 0
            Path("runs.db").rename("first.db")
            assert orc("import", "job.orc").code == 0
        case "target":
            assert orc("run", "spec.yaml").code == 0
            for name in ("there", "there.json", "there.svg", "app.yaml"):
                write(name, "mine")
        case _:
            assert situation == "specs"


# (situation, the command without the option, what is added)
CASES: dict[str, dict[str, tuple[str, str, str]]] = {
    "run": {
        "--executor": ("specs", "run spec.yaml", "--executor none"),
        "--provider": ("specs", "run spec.yaml", "-p openai"),
        "--model": ("specs", "run spec.yaml --json", "-m other"),
        "--input": ("specs", "run spec.yaml", "-i name=z"),
        "--inputs": ("specs", "run spec.yaml", "--inputs inputs.yaml"),
        "--runs-dir": ("specs", "run spec.yaml", "--runs-dir elsewhere"),
        "--replies": ("specs", "run spec.yaml", "--replies good.replay.yaml"),
        "--output-dir": ("specs", "run spec.yaml", "--output-dir new"),
        "--strict": ("specs", "run spec.yaml", "--strict"),
        "--record": ("specs", "run spec.yaml", "--record new.yaml"),
        "--stream": ("specs", "run spec.yaml", "--stream ask"),
        "--dry-run": ("specs", "run spec.yaml", "--dry-run"),
        "--until": ("specs", "run spec.yaml", "--until ask"),
        "--tag": ("specs", "run spec.yaml", "--tag !bad"),
        "--force": ("specs", "run delivered.yaml", "--force"),
        "--keep-work": ("specs", "run spec.yaml", "--keep-work"),
    },
    "submit": {
        "--executor": ("specs", "submit spec.yaml", "--executor none"),
        "--provider": ("specs", "submit spec.yaml", "-p openai"),
        "--model": ("specs", "submit spec.yaml", "-m other"),
        "--input": ("specs", "submit spec.yaml", "-i name=z"),
        "--inputs": ("specs", "submit spec.yaml", "--inputs inputs.yaml"),
        "--runs-dir": ("specs", "submit spec.yaml", "--runs-dir elsewhere"),
        "--replies": ("specs", "submit spec.yaml", "--replies good.replay.yaml"),
        "--output-dir": ("specs", "submit spec.yaml", "--output-dir new"),
        "--until": ("specs", "submit spec.yaml", "--until ask"),
        "--tag": ("specs", "submit spec.yaml", "--tag !bad"),
        "--force": ("specs", "submit delivered.yaml", "--force"),
    },
    "work": {"--stop-when-empty": ("queued", "work --for 200ms", "--stop-when-empty")},
    "resume": {
        "--executor": ("part", "resume latest", "--executor local=none"),
        "--trust": ("imported", "resume latest", "--trust"),
        "--provider": ("job", "resume latest", "-p openai"),
        "--timeout": ("slow", "resume latest", "--timeout 60s"),
        "--budget": ("paid", "resume latest", "--budget +1calls"),
        "--spec": ("job", "resume latest", "--spec other.yaml"),
        "--input": ("job", "resume latest --spec other.yaml", "-i name=z"),
        "--only": ("part", "resume latest", "--only make"),
        "--force": ("delivered", "resume latest", "--force"),
        "--keep-work": ("part", "resume latest", "--keep-work"),
        "--strict": ("part", "resume latest", "--strict"),
        "--replies": ("paid", "resume latest --budget +1calls", "--replies good.replay.yaml"),
    },
    "rerun": {
        "--trust": ("imported", "rerun latest --step make", "--trust"),
        "--replies": ("job", "rerun latest --step ask", "--replies good.replay.yaml"),
        "--only": ("job", "rerun latest --step ask", "--only ask"),
        "--force": ("delivered", "rerun latest --step make", "--force"),
        "--keep-work": ("job", "rerun latest --step make", "--keep-work"),
        "--strict": ("job", "rerun latest --step make", "--strict"),
        "--step": ("job", "rerun latest --step make", "--step ask"),
    },
    "fork": {
        "--trust": ("imported", "fork latest", "--trust"),
        "--from": ("job", "fork latest", "--from ask"),
        "--set": ("job", "fork latest", "--set inputs.name=z"),
        "--spec": ("job", "fork latest", "--spec other.yaml"),
        "--no-run": ("job", "fork latest", "--no-run"),
        "--runs-dir": ("job", "fork latest", "--runs-dir elsewhere"),
        "--replies": ("job", "fork latest --from ask", "--replies good.replay.yaml"),
        "--force": ("delivered", "fork latest", "--force"),
        "--keep-work": ("job", "fork latest --from make", "--keep-work"),
        "--strict": ("job", "fork latest", "--strict"),
        "--tag": ("job", "fork latest", "--tag !bad"),
    },
    "cancel": {"--reason": ("open", "cancel latest", "--reason enough")},
    "approve": {
        "--option": ("open", "approve latest gate", "--option reject"),
        "--comment": ("open", "approve latest gate", "--comment good"),
        "--resume": ("open", "approve latest gate", "--resume"),
    },
    "reject": {
        "--comment": ("open", "reject latest gate", "--comment bad"),
        "--resume": ("open", "reject latest gate", "--resume"),
    },
    "replay": {
        "--trust": ("imported", "replay latest", "--trust"),
        "--runs-dir": ("job", "replay latest", "--runs-dir elsewhere"),
    },
    "demo": {"--runs-dir": ("specs", "demo", "--runs-dir elsewhere")},
    "init": {
        "--to": ("specs", "init", "--to new.yaml"),
        "--list": ("specs", "init", "--list"),
        "--force": ("target", "init", "--force"),
    },
    "list": {
        "--limit": ("two jobs", "list", "-n 1"),
        "--status": ("job", "list", "--status failed"),
        "--queued": ("two jobs", "list", "--queued"),
        "--project": ("job", "list", "--project none"),
        "--tag": ("job", "list", "--tag none"),
        "--since": ("job", "list", "--since 2999-01-01"),
    },
    "show": {
        "--events": ("job", "show latest", "-e"),
        "--files": ("job", "show latest", "-f"),
        "--graph": ("job", "show latest", "-g"),
        "--timeline": ("job", "show latest", "-t"),
        "--at": ("job", "show latest", "--at 3"),
        "--all": ("wide job", "show latest", "--all"),
    },
    "blame": {
        "--job": ("two jobs", "blame made.txt", "--job latest~1"),
        "--full": ("job", "blame made.txt", "--full"),
    },
    "diff": {
        "--step": ("two jobs", "diff latest~1 latest", "--step each"),
        "--stat": ("two jobs", "diff latest~1 latest", "--stat"),
        "--exit-code": ("two jobs", "diff latest~1 latest", "--exit-code"),
    },
    "scores": {
        "--by": ("two jobs", "scores latest", "--by item"),
        "--format": ("two jobs", "scores latest", "--format csv"),
        "--fail-under": ("two jobs", "scores latest", "--fail-under odd=3"),
        "--fail-on-regression": ("worse", "scores latest~1 latest", "--fail-on-regression"),
        "--tolerance": ("worse", "scores latest~1 latest", "--tolerance 5"),
        "--tag": ("tagged", "scores --tag mine", "--tag none"),
    },
    "score": {"--why": ("job", "score latest each[0] good=1 --json", "--why fine")},
    "cost": {
        "--by": ("job", "cost", "--by step"),
        "--tag": ("job", "cost", "--tag none"),
        "--since": ("job", "cost", "--since 2999-01-01"),
    },
    "tail": {
        "--last": ("job", "tail latest", "-n 1"),
        "--type": ("job", "tail latest", "--type job"),
        "--step": ("job", "tail latest", "--step ask"),
    },
    "logs": {"--attempt": ("job", "logs latest make", "--attempt 9")},
    "search": {
        "--job": ("two jobs", "search made", "--job latest~1"),
        "--what": ("job", "search hello", "--what log"),
        "--tag": ("job", "search hello", "--tag none"),
        "--limit": ("two jobs", "search hello", "-n 1"),
    },
    "validate": {
        "--input": ("specs", "validate spec.yaml", "-i nme=z"),
        "--inputs": ("specs", "validate other.yaml", "--inputs spec.yaml"),
        "--provider": ("specs", "validate spec.yaml", "-p none"),
    },
    "plan": {
        "--input": ("job", "plan spec.yaml", "-i name=z"),
        "--inputs": ("job", "plan spec.yaml", "--inputs inputs.yaml"),
        "--provider": ("job", "plan spec.yaml", "-p openai"),
        "--model": ("job", "plan spec.yaml", "-m other"),
        "--exit-code": ("specs", "plan spec.yaml", "--exit-code"),
        "--until": ("job", "plan spec.yaml", "--until make"),
    },
    "schema": {
        "--output": ("specs", "schema", "-o new.json"),
        "--force": ("target", "schema -o there.json", "--force"),
    },
    "graph": {
        "--format": ("job", "graph latest", "--format dot"),
        "--mermaid": ("job", "graph latest", "--mermaid"),
        "--output": ("job", "graph latest", "-o new.svg"),
        "--force": ("target", "graph latest -o there.svg", "--force"),
        "--at": ("job", "graph latest", "--at 3"),
    },
    "verify": {"--head": ("job", "verify latest", "--head 0123456789abcdef")},
    "export": {
        "--format": ("job", "export latest", "--format junit"),
        "--to": ("job", "export latest", "--to new"),
        "--table": ("job", "export latest", "--table steps"),
        "--content": ("job", "export latest --format html", "--no-content"),
        "--force": ("target", "export latest --format html --to there", "--force"),
    },
    "bundle": {"--force": ("target", "bundle latest there", "--force")},
    "backup": {"--force": ("target", "backup there", "--force")},
    "import": {"--trust": ("bundle", "import job.orc", "--trust")},
    "prune": {
        "--older-than": ("job", "prune --job latest", "--older-than 30d"),
        "--job": ("two jobs", "prune --job latest", "--job latest~1"),
        "--files": ("job", "prune --job latest --yes", "--files"),
        "--reason": ("job", "prune --job latest --yes", "--reason old"),
        "--yes": ("job", "prune --job latest", "--yes"),
    },
    "chaos": {
        # The folder is in use, so that nothing is run.
        "--input": ("specs", "chaos spec.yaml --keep out", "-i nme=z"),
        "--inputs": ("specs", "chaos spec.yaml --keep out", "--inputs spec.yaml"),
        "--replies": ("specs", "chaos spec.yaml --keep out", "--replies none.yaml"),
        "--executor": ("specs", "chaos spec.yaml --keep out", "--executor none"),
    },
    "redact": {
        "--reason": ("job", "redact DIGEST --yes", "--reason old"),
        "--yes": ("job", "redact DIGEST", "--yes"),
    },
}

# Options whose difference another test shows, since it needs more than a folder and a command.
ELSEWHERE = {
    ("run", "--no-input"): "tests/cli/jobs/caller/test_inputs.py",
    ("run", "--no-wait"): "needs a server of batches: tests/batches/test_batches.py",
    ("resume", "--no-wait"): "needs a server of batches: tests/batches/test_batches.py",
    ("run", "--interactive"): "needs a terminal: tests/cli/terminal/test_interactive.py",
    ("resume", "--interactive"): "needs a terminal: tests/cli/terminal/test_interactive.py",
    ("rerun", "--executor"): "needs a job on executors: tests/executors/test_rooms.py",
    ("fork", "--executor"): "needs a job on executors: tests/executors/test_rooms.py",
    ("redact", "--job"): "tests/cli/commands/test_redact.py",
    ("submit", "--no-input"): "tests/cli/jobs/caller/test_inputs.py",
    ("submit", "--strict"): "tests/cli/commands/test_submit.py",
    ("work", "--jobs"): "tests/cli/commands/test_work.py",
    ("work", "--for"): "tests/cli/commands/test_work.py",
    ("work", "--trust"): "tests/cli/commands/test_work.py",
    ("resume", "--no-input"): "tests/cli/jobs/caller/test_inputs.py",
    ("fork", "--no-input"): "tests/cli/jobs/caller/test_inputs.py",
    ("cancel", "--force"): "needs an executor that cannot be reached: tests/executors",
    ("why", "--full"): "more than 80 statements: a slice of them in `orc why`",
    ("diff", "--full"): "tests/cli/commands/test_diff.py",
    ("tail", "--follow"): "tests/cli/commands/test_tail.py",
    ("logs", "--follow"): "tests/cli/commands/test_logs.py",
    ("logs", "--raw"): "tests/cli/commands/test_logs.py",
    ("scores", "--seed"): "other ends of intervals: tests/projections/scores",
    ("search", "--best"): "an order of many matches: tests/projections/search",
    ("browse", "--port"): "tests/cli/browse/test_enter_key.py",
    ("browse", "--uds"): "tests/cli/commands/test_browse.py",
    ("browse", "--no-open"): "tests/cli/commands/test_browse.py",
    ("browse", "--allow-decisions"): "tests/browser/test_browse.py",
    ("mcp", "--specs"): "tests/cli/mcp/test_mcp.py",
    ("mcp", "--allow-actions"): "tests/cli/mcp/test_mcp.py",
    ("mcp", "--db"): "tests/cli/mcp/test_mcp.py",
    ("mcp", "--json"): "accepted as everywhere: the protocol is JSON",
    ("browse", "--allow-actions"): "tests/crash/page_server.py",
    ("browse", "--specs"): "tests/crash/page_server.py",
    ("executors", "--clean"): "tests/cli/commands/test_executors.py",
    **{
        ("cluster", option): "tests/cli/commands/test_cluster.py"
        for option in ("--print", "--host", "--cpu", "--memory", "--gpu", "--label", "--slots")
    },
    ("chaos", "--sample"): "tests/cli/commands/test_chaos.py",
    ("chaos", "--keep"): "tests/cli/commands/test_chaos.py",
    ("chaos", "--seed"): "the choice of --sample: `_choose_commits`",
    ("chaos", "--jobs"): "the number of runs at the same time",
    ("schema", "--json"): "accepted as everywhere: the output is always JSON",
}

# Options that all commands have: a command of each, with what it needs.
COMMON = {
    "run": ("specs", "run spec.yaml"),
    "submit": ("specs", "submit spec.yaml"),
    "work": ("queued", "work --stop-when-empty"),
    "resume": ("part", "resume latest"),
    "rerun": ("job", "rerun latest --step make"),
    "fork": ("job", "fork latest"),
    "cancel": ("open", "cancel latest"),
    "approve": ("open", "approve latest gate"),
    "reject": ("open", "reject latest gate"),
    "replay": ("job", "replay latest"),
    "demo": ("specs", "demo"),
    "init": ("specs", "init"),
    "list": ("job", "list"),
    "show": ("job", "show latest"),
    "blame": ("job", "blame made.txt"),
    "why": ("job", "why latest ask"),
    "diff": ("two jobs", "diff latest~1 latest"),
    "scores": ("two jobs", "scores latest"),
    "score": ("job", "score latest each[0] good=1"),
    "tag": ("job", "tag latest +mine"),
    "note": ("job", "note latest fine"),
    "cost": ("job", "cost"),
    "tail": ("job", "tail latest"),
    "logs": ("job", "logs latest make"),
    "search": ("job", "search hello"),
    "validate": ("specs", "validate spec.yaml"),
    "plan": ("job", "plan spec.yaml"),
    "graph": ("job", "graph latest"),
    "verify": ("job", "verify"),
    "rebuild": ("job", "rebuild"),
    "export": ("job", "export latest"),
    "bundle": ("job", "bundle latest new.orc"),
    "import": ("bundle", "import job.orc"),
    "backup": ("job", "backup new.db"),
    "prune": ("job", "prune --job latest"),
    "redact": ("job", "redact DIGEST"),
    "executors": ("specs", "executors"),
    "doctor": ("job", "doctor"),
}
for _name, (_situation, _command) in COMMON.items():
    CASES.setdefault(_name, {}).update(
        {
            "--json": (_situation, _command, "--json"),
            "--db": (_situation, _command, "--db elsewhere.db"),
            "--quiet": (_situation, _command, "--quiet"),
        }
    )
for _command in ("resume", "rerun", "fork", "replay"):
    ELSEWHERE[_command, "--spec-dir"] = "a moved folder: tests/cli/test_moved_projects.py"
for _option in ("--result", "--prompt", "--reply", "--output", "--no-pager"):
    ELSEWHERE["show", _option] = "tests/cli/commands/test_show_step.py"
for _option in ("--db", "--json"):
    ELSEWHERE["browse", _option] = "the server: tests/browser"
    ELSEWHERE["cluster", _option] = "the site file beside the ledger: tests/executors"
for (
    _command
) in "run resume submit doctor work rerun fork replay approve reject plan browse mcp chaos".split():
    ELSEWHERE[_command, "--env-file"] = "a key in a file: tests/cli/specs/test_servers.py"
for _option in ("--quiet", "--json"):
    ELSEWHERE["chaos", _option] = "tests/cli/commands/test_chaos.py"
# A scan for providers and processes, which takes longer than all others together.
ELSEWHERE["doctor", "--json"] = ELSEWHERE["doctor", "--db"] = "tests/cli/commands/test_doctor.py"
ELSEWHERE["executors", "--db"] = "tests/cli/commands/test_executors.py"


@cache
def options() -> tuple[tuple[str, str], ...]:
    """Each command with the long name of each of its options."""
    return tuple(
        (command, next(name for name in param.opts if name.startswith("--")))
        for command in COMMANDS
        for param in _build_command(command).params
        if param.param_type_name == "option" and param.name != "help"
    )


def test_each_option_has_a_case_or_a_test_of_its_own() -> None:
    cased = {(command, option) for command, found in CASES.items() for option in found}
    unknown = [one for one in options() if one not in cased and one not in ELSEWHERE]
    assert unknown == []
    assert [one for one in ELSEWHERE if one not in options()] == []
    for (_, option), place in ELSEWHERE.items():
        if place.startswith("tests/"):
            path = ROOT / place
            assert path.is_file(), place
            short = {"--follow": "-f", "--jobs": "-j"}.get(option, option)
            text = path.read_text("utf-8")
            assert option in text or f'"{short}"' in text, (option, place)


Seen = tuple[object, ...]


class Situation:
    """A folder that is made once, and is as it was made for each command."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        self._seen: dict[str, Seen] = {}
        with pytest.MonkeyPatch.context() as patches:
            patches.chdir(folder)
            begin(name)
        self._kept = {
            path: path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))
        }

    def seen_after(self, command: str) -> Seen:
        """What there is to be seen after the command; it is given once."""
        if command not in self._seen:
            self._restore()
            with pytest.MonkeyPatch.context() as patches:
                patches.chdir(self.folder)
                said = orc(*command.replace("DIGEST", digest()).split())
                assert "Traceback" not in said.err, said.err
                assert "No such option" not in said.err
                # Steps that run at once say so in any order.
                printed = [sorted(plain(text).splitlines()) for text in (said.out, said.err)]
                self._seen[command] = said.code, *printed, recorded(), made()
        return self._seen[command]

    def _restore(self) -> None:
        """Write the files in place: a ledger in another file would be a copy, which orc notices."""
        for path in sorted(self.folder.rglob("*"), reverse=True):
            if path not in self._kept:
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        for path, content in self._kept.items():
            if content is None:
                path.mkdir(exist_ok=True)
            elif not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)


@pytest.fixture(scope="module")
def situation(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Situation]:
    """The situation of a name."""

    @cache
    def find(name: str) -> Situation:
        return Situation(name, tmp_path_factory.mktemp("situation"))

    return find


@pytest.mark.parametrize(
    ("command", "option"),
    [one for one in options() if one[1] in CASES.get(one[0], {}) and one not in ELSEWHERE],
)
def test_an_option_makes_a_difference(
    command: str, option: str, situation: Callable[[str], Situation]
) -> None:
    name, without, added = CASES[command][option]
    place = situation(name)
    assert place.seen_after(without) != place.seen_after(f"{without} {added}")


def digest() -> str:
    """The digest of some bytes of the ledger; empty without a ledger."""
    if not Path("runs.db").exists():
        return ""
    with closing(sqlite3.connect("runs.db")) as connection:
        query = "SELECT sha256 FROM blobs WHERE size_bytes > 3 ORDER BY size_bytes LIMIT 1"
        row = connection.execute(query).fetchone()
    return str(row[0]) if row else ""


def plain(text: str) -> str:
    """The text without what differs from one run to the next."""
    text = re.sub(r"job_[0-9a-z]+", "JOB", text)
    text = re.sub(r"\b[0-9a-f]{8,}\b", "HASH", text)
    return re.sub(r"[0-9][0-9.:,T-]*Z?|(?<=#) *(?:ms|s|< 1 ms)", "#", text).replace(
        "< # ms", "# ms"
    )


def recorded() -> list[tuple[str, str, str]]:
    """The events in the ledger, without what differs from one run to the next."""
    if not Path("runs.db").exists():
        return []
    with closing(sqlite3.connect("runs.db")) as connection:
        rows = connection.execute("SELECT type, step, data FROM events ORDER BY position")
        return sorted((kind, str(step), plain(data)) for kind, step, data in rows)


def made() -> list[str]:
    """The files that are there."""
    return sorted(plain(str(path)) for path in Path().rglob("*"))
