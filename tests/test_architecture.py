"""The rules of the folders, read from the sources: who may import what, and what loads when."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from orc.cli.command_table import COMMANDS, module_name
from orc.ledger import open_ledger
from orc.ledger.kinds import KINDS
from orc.projections import ReadModel

ROOT = Path(__file__).parents[1]
PACKAGES = ("ledger", "providers", "scheduler", "projections", "cli")

# What each package may import from here, by the packages' names below `orc`. A package may
# always import itself, and what FOR_ALL names; a package's root (`__init__.py`) may name what
# stands below it. A row may name a single module of a package.
FOR_ALL = {
    "orc.about",  # the name of the distribution
    "orc.ledger.wording",  # durations, costs, counts and sizes as people read them
}
MAY_IMPORT: dict[str, str] = {
    "ledger": "",
    "ledger.transport": "ledger",
    "providers": "",
    "scheduler.core": "ledger",
    "scheduler.core.language": "ledger scheduler.core",
    "scheduler.core.spec": "ledger scheduler.core scheduler.core.language",
    "scheduler.core.resolve": ("ledger scheduler.core scheduler.core.language scheduler.core.spec"),
    "scheduler.core.fold": "ledger scheduler.core scheduler.core.language",
    "scheduler.core.rules": "ledger scheduler.core scheduler.core.fold",
    "scheduler.effects": "ledger providers scheduler.core",
    "scheduler": (
        "ledger providers scheduler.core scheduler.core.fold scheduler.core.language "
        "scheduler.core.rules scheduler.core.spec scheduler.effects"
    ),
    # How a provider is billed, and what telemetry calls it: plain data, and no provider's code.
    "projections.money": "ledger providers.catalogue",
    "projections.folds": "ledger projections.money",
    "projections.caches": "ledger ledger.transport projections.folds",
    "projections.tables": "ledger projections.folds projections.money",
    "projections.history": "ledger projections.folds projections.money projections.tables",
    "projections.folder": "ledger projections.folds projections.money",
    "projections.search": "ledger projections.history",
    "projections.why": "ledger projections.folds projections.history projections.tables",
    "projections.pictures": "ledger projections.history projections.tables",
    "projections.pages": (
        "ledger ledger.transport projections.folder projections.folds projections.history "
        "projections.money projections.pictures projections.search projections.tables "
        "projections.why"
    ),
    "projections.exports": (
        "ledger projections.folds projections.history projections.money projections.pages "
        "projections.tables providers.catalogue"
    ),
    "projections.datasette": "ledger projections.money projections.pages projections.tables",
    "projections": "ledger projections.folder projections.money projections.tables",
}
# The command line may import every package below it. Use cases know nothing of a terminal, so
# that the Python API can stand on them alone.
_BELOW = " ".join(MAY_IMPORT)
MAY_IMPORT |= {
    "cli.jobs.caller": f"{_BELOW} cli",
    "cli.jobs": f"{_BELOW} cli cli.jobs.caller",
    "cli.terminal": f"{_BELOW} cli cli.jobs cli.jobs.caller",
    "cli.chaos": f"{_BELOW} cli cli.jobs cli.terminal",
    "cli.doctor": f"{_BELOW} cli cli.jobs.caller",
    "cli.commands": f"{_BELOW} cli cli.jobs cli.jobs.caller cli.terminal cli.chaos cli.doctor",
    "cli": f"{_BELOW} cli.jobs cli.terminal",
}
# What each folder may use besides the standard library. The providers also use trio:
# they wait for the network, and trio is what waits here.
OUTSIDE = {
    "ledger": {"pydantic", "sqlite_utils"},
    "providers": {"httpx", "httpx2", "openai", "anthropic", "mlx", "mlx_lm", "trio", "pydantic"},
    "scheduler/core": {"pydantic", "yaml", "jinja2", "jsonschema"},
    "scheduler": {"trio", "tenacity", "pydantic", "jsonschema", "referencing"},
    "projections": {"pydantic", "sqlite_utils", "datasette", "jinja2", "markupsafe"},
    "cli": {"typer", "click", "rich", "trio", "datasette", "uvicorn", "yaml", "pydantic"},
}
_BARE = re.compile(rf"^\s*(?:from|import) (?:{'|'.join(PACKAGES)})\b.*", re.MULTILINE)
IMPURE = set(
    "asyncio io logging multiprocessing os pathlib random secrets shutil signal socket sqlite3 "
    "subprocess tempfile threading time urllib uuid trio".split()
)
LINES_MAX = 400
FOLDER_MAX = 30
# One declaration for each event: a table that is read from top to bottom, and would not be
# clearer in two files. May only shrink.
LONGER = {"ledger/events.py": 600}


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def folder_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return "scheduler/core" if relative.parts[:2] == ("scheduler", "core") else relative.parts[0]


def package_of(path: Path) -> str:
    """The dotted name, below `orc`, of the package in which a module stands."""
    return ".".join(path.relative_to(ROOT).parts[:-1])


@cache
def packages() -> frozenset[str]:
    return frozenset(package_of(path) for path in modules())


def package_named(name: str) -> str:
    """The package of what `import name` loads: the longest one that there is."""
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in packages():
        parts.pop()
    return ".".join(parts)


def is_allowed(package: str, other: str) -> bool:
    return other == package or other in MAY_IMPORT[package].split()


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_package_may(path: Path) -> None:
    package = package_of(path)
    is_root = path.name == "__init__.py"
    for name in imports(path):
        root = name.partition(".")[0]
        if root == "orc" and name not in FOR_ALL:
            other = package_named(name)
            is_below = is_root and other.startswith(f"{package}.")
            is_single = is_allowed(package, name.removeprefix("orc."))
            assert is_below or is_single or is_allowed(package, other), name
        elif root != "orc" and root not in sys.stdlib_module_names:
            assert root in OUTSIDE[folder_of(path)], name


def test_every_package_has_its_row_and_no_row_is_stale() -> None:
    assert set(MAY_IMPORT) == packages()
    named = {name for row in MAY_IMPORT.values() for name in row.split()}
    single = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules()}
    assert named <= packages() | single


def test_nothing_imports_the_five_folders_by_their_bare_names() -> None:
    paths = [*modules(), *(ROOT / "orc").glob("*.py"), *(ROOT / "docs").glob("*.py")]
    paths += [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    # Read as text: programs that tests write and start count as well.
    bare = {
        f"{path.relative_to(ROOT)}: {found}"
        for path in paths
        for found in _BARE.findall(path.read_text("utf-8"))
    }
    assert not bare


def dependencies() -> dict[str, set[str]]:
    """The modules that each module imports, also inside functions; not those for types alone."""
    names = {
        ".".join(("orc", *path.relative_to(ROOT).with_suffix("").parts)): path
        for path in modules()
        if path.name != "__init__.py"
    }
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        tree = ast.parse(path.read_text("utf-8"))
        typing_only = {
            id(node)
            for block in ast.walk(tree)
            if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
            for node in ast.walk(block)
        }
        found[name] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and id(node) not in typing_only:
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                found[name] |= ({str(node.module)} | inside) & (names.keys() - {name})
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = dependencies()
    while True:
        # Whatever imports nothing that is left is in no circle.
        ends = {name for name, needed in left.items() if not needed & left.keys()}
        if not ends:
            break
        left = {name: needed for name, needed in left.items() if name not in ends}
    circles = {name: needed & left.keys() for name, needed in left.items()}
    assert not circles


def test_every_command_is_the_module_of_its_name() -> None:
    found = {path.stem for path in (ROOT / "cli" / "commands").glob("[!_]*.py")}
    assert {module_name(command) for command in COMMANDS} == {
        f"orc.cli.commands.{stem}" for stem in found
    }


@pytest.mark.parametrize("path", sorted((ROOT / "scheduler" / "core").rglob("*.py")), ids=str)
def test_the_core_imports_nothing_that_reads_clocks_dice_or_disks(path: Path) -> None:
    # The parser of URLs shares its package with a client, and touches nothing itself.
    names = set(imports(path)) - {"urllib.parse"}
    assert not IMPURE.intersection(name.partition(".")[0] for name in names)


def test_the_python_worker_imports_nothing_of_ours() -> None:
    names = {name.partition(".")[0] for name in imports(ROOT / "scheduler/effects/worker.py")}
    # pydantic, and only to describe a function and check its arguments as a model's tool.
    assert names <= sys.stdlib_module_names | {"pydantic"}


def test_the_tests_of_purity_would_notice_a_clock() -> None:
    assert "time" in set(imports(ROOT / "scheduler" / "clock.py")) & IMPURE


@pytest.mark.parametrize("package", ["ledger", "providers", "projections"])
def test_a_package_root_lists_its_lazy_names_and_their_types_alike(package: str) -> None:
    module = import_module(f"orc.{package}")
    tree = ast.parse((ROOT / package / "__init__.py").read_text("utf-8"))
    typed = {
        alias.name: (node.module or "").removeprefix(f"orc.{package}.")
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == module._HOMES
    assert set(module.__all__) == set(typed)
    for name in typed:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


def test_no_folder_has_more_modules_than_can_be_surveyed() -> None:
    found = Counter(package_of(path) for path in modules() if path.name != "__init__.py")
    # A command each, named as it is typed: the length of that list is the product's.
    del found["cli.commands"]
    assert {name: count for name, count in found.items() if count > FOLDER_MAX} == {}


def test_no_class_name_is_there_twice_in_one_of_the_five_folders() -> None:
    where: dict[tuple[str, str], list[str]] = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                key = (path.relative_to(ROOT).parts[0], node.name)
                where.setdefault(key, []).append(str(path.relative_to(ROOT)))
    assert {key: paths for key, paths in where.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_of_a_length_that_can_be_read(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= LONGER.get(str(path.relative_to(ROOT)), LINES_MAX)


# What may be called as a kind of step is, `http` for one, and is none.
NO_KINDS = ("url.scheme", "scope['type']")


def kinds_compared(tree: ast.AST) -> Iterator[str]:
    """The kinds of steps that a module compares something with, by `==`, `in` or `match`."""
    for node in ast.walk(tree):
        values: list[ast.expr] = []
        if isinstance(node, ast.Compare) and ast.unparse(node.left) not in NO_KINDS:
            values = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            values = [node.value]
        for value in values:
            for found in ast.walk(value):
                if isinstance(found, ast.Constant) and found.value in KINDS:
                    yield f"line {found.lineno}: {found.value}"


def kinds_listed(tree: ast.AST) -> Iterator[str]:
    """Collections of two kinds and more, and kinds that stand in SQL."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            items = node.keys
        elif isinstance(node, ast.Tuple | ast.List | ast.Set):
            items = list(node.elts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.search(r"\bkind\s*(=|<>|!=|IN|NOT IN)\s*\(?'", node.value):
                yield f"line {node.lineno}: SQL"
            continue
        else:
            continue
        values = {item.value for item in items if isinstance(item, ast.Constant)}
        if len(values) > 1 and values <= set(KINDS):
            yield f"line {node.lineno}: {sorted(map(str, values))}"


def may_name_kinds(path: Path) -> bool:
    """The models of the spec, and what is rendered for each kind."""
    relative = path.relative_to(ROOT).as_posix()
    return relative.startswith("scheduler/core/spec/") or relative in (
        "ledger/kinds.py",
        "scheduler/rendering.py",
    )


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if not may_name_kinds(path)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_module_asks_what_a_kind_is_and_does_not_compare_its_name(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert not [*kinds_compared(tree), *kinds_listed(tree)]


@pytest.mark.parametrize(
    "source",
    [
        "step.kind == 'prompt'",
        "step.kind not in ('run', 'python')",
        "match kind:\n    case 'group' | 'approval':\n        pass",
        "HOLDERS = {'for_each', 'loop'}",
        "MADE = {'run': 1, 'python': 2}",
        "QUERY = \"SELECT 1 FROM steps WHERE steps.kind IN ('run')\"",
    ],
)
def test_the_test_of_kinds_notices_a_comparison(source: str) -> None:
    tree = ast.parse(source)
    assert [*kinds_compared(tree), *kinds_listed(tree)]


# Values that a person reads, worded outside of `ledger/wording.py`: a formatted value with a unit
# after it, with a `$` before it, or with its thousands apart.
WORDED = {
    # `[` before it: a colour of the terminal.
    "a duration": re.compile(
        r"(?<!\[)\0 ?(?:ms|s|m|min|h|d|milliseconds|seconds|minutes|hours|days)\b"
    ),
    "a cost": re.compile(r"(?:\$|US\$ ?|USD )\0|\0 ?(?:USD|US dollars|dollars)\b"),
    "a size": re.compile(r"\0 ?(?:B|kB|KB|MB|GB|KiB|MiB|GiB|bytes?)\b"),
    "a plural": re.compile(r"\0 [a-z]+\(s\)"),
}
WORDED_ELSEWHERE = {
    ("projections/pictures/timeline_svg.py", "a duration"): (
        "labels of an axis: as few characters as tell one from the next (`1:30 min`)"
    ),
    ("scheduler/core/spec/references.py", "a cost"): "`$NAME` is a variable of the shell",
    ("projections/datasette/cells.py", "a cost"): "a tooltip with every digit of the number",
}


def words_of(source: str) -> Iterator[str]:
    """What the f-strings of a module word for people, by the names in WORDED."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        text = "".join(
            str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values
        )
        yield from (what for what, pattern in WORDED.items() if pattern.search(text))
        for part in node.values:
            spec = part.format_spec if isinstance(part, ast.FormattedValue) else None
            if spec is not None and "," in ast.unparse(spec):
                yield "thousands"


def test_only_one_module_words_durations_costs_counts_and_sizes() -> None:
    others = [path for path in modules() if path != ROOT / "ledger" / "wording.py"]
    found = {
        (str(path.relative_to(ROOT)), what)
        for path in others
        for what in words_of(path.read_text("utf-8"))
    }
    assert found - set(WORDED_ELSEWHERE) == set()
    assert set(WORDED_ELSEWHERE) - found == set(), "stale reasons"


def test_templates_and_the_script_word_no_duration_cost_or_size_themselves() -> None:
    folder = ROOT / "projections" / "pages"
    units = r" ?(?:ms|s|m|min|h|d|B|kB|MB|GB|KiB|MiB|bytes?)\b"
    by_hand = re.compile(rf"\}}\}}{units}|\$\{{\{{|toFixed|\|round|\bformat\(")
    for path in sorted((folder / "templates").iterdir()):
        assert not by_hand.search(path.read_text("utf-8")), path
    # The script has one function for the duration of what is still running.
    script = (folder / "static" / "orc.js").read_text("utf-8")
    start = script.index("function durationText")
    others = script[:start] + script[script.index("\n  }\n", start) :]
    assert not re.search(rf"\}}{units}|toFixed|\$\$\{{", others)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ('f"{seconds:.1f} s"', "a duration"),
        ('f"within {limit:g} s which"', "a duration"),
        ('f"{minutes}m left"', "a duration"),
        ('f"${cost:.4f}"', "a cost"),
        ('f"cost {cost} USD"', "a cost"),
        ('f"{size / 1000:.0f} kB"', "a size"),
        ('f"{count} step(s)"', "a plural"),
        ('f"{tokens:,} tokens"', "thousands"),
    ],
)
def test_the_rule_on_wording_notices(source: str, what: str) -> None:
    assert what in set(words_of(source))


HEAVY = {"pydantic", "trio", "openai", "anthropic", "datasette", "jinja2", "sqlite_utils", "httpx"}


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--version"], HEAVY | {"rich", "typer"}),
        (["--help"], HEAVY),
        # Texts and paths are taken as they are: typer would load pydantic for each of them.
        (["list", "--db", "runs.db"], HEAVY | {"rich", "orc.ledger.events"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_short_command_loads_nothing_heavy(
    arguments: list[str], absent: set[str], tmp_path: Path
) -> None:
    open_ledger(tmp_path / "runs.db", projector=ReadModel()).close()
    program = (
        "import sys\n"
        f"sys.argv = ['orc', *{arguments!r}]\n"
        "from orc.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('\\n'.join(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "orc.cli" in loaded
    assert not loaded & absent
