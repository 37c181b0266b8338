"""The rules for packages, checked on the sources: allowed imports and sizes."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from orc.cli.command_table import COMMANDS, module_name
from orc.ledger.kinds import KINDS

ROOT = Path(__file__).parents[1]
PACKAGES = ("ledger", "providers", "scheduler", "projections", "cli")
Nodes = tuple[ast.AST, ...]

# What each package may import from this repository, by names without `orc.`; `orc` is the Python
# API. Every package may import itself and the modules in FOR_ALL; a package's root (`__init__.py`)
# may import its subpackages. A row may name a single module of a package.
FOR_ALL = {
    "orc.about",  # the name of the distribution
    "orc.ledger.scarcity",  # whether the machine has run out of something
    "orc.ledger.wording",  # durations, costs, counts and sizes as people read them
}
MAY_IMPORT: dict[str, str] = {
    "ledger.files": (
        "ledger.command_lines ledger.digest ledger.errors ledger.failpoints orc.worker.file_modes "
        "orc.worker.capture_rules"
    ),
    "ledger.secrets": "",
    "ledger.inputs": "ledger.digest ledger.stored_struct",
    "ledger.servers": "ledger.stored_struct",
    "ledger.definition": "ledger ledger.inputs ledger.servers",
    "ledger.events": "ledger ledger.servers",
    "ledger": "ledger.files ledger.inputs ledger.secrets ledger.servers",
    "ledger.transport": "ledger ledger.files",
    "providers.servers": "ledger.servers providers.contract",
    # What a reply means, for all adapters: values in, values out.
    "providers.replies": "providers",
    "providers.batches": "ledger ledger.servers providers providers.replies",
    "providers.embeddings": "providers providers.replies",
    "providers": (
        "ledger.servers providers.batches providers.embeddings providers.replies providers.servers"
    ),
    "scheduler.core": "ledger orc.worker.capture_rules orc.worker.sizes",
    "scheduler.core.source": "ledger scheduler.core",
    "scheduler.core.language": "ledger scheduler.core",
    "scheduler.core.shell": "ledger scheduler.core scheduler.core.language",
    "scheduler.core.spec": (
        "ledger ledger.inputs scheduler.core scheduler.core.language scheduler.core.shell "
        "scheduler.core.source"
    ),
    "scheduler.core.resolve": (
        "ledger ledger.inputs ledger.servers scheduler.core scheduler.core.language "
        "scheduler.core.source scheduler.core.spec"
    ),
    "scheduler.core.tables": "ledger scheduler.core scheduler.core.source scheduler.core.spec",
    "scheduler.core.fold": "ledger scheduler.core scheduler.core.language",
    "scheduler.core.rules": "ledger scheduler.core scheduler.core.fold",
    # What runs on another machine is importable there without the rest, from the standard library.
    "orc.worker": "",
    # A process of its own between orc and an engine. It imports little, and no key or ledger.
    "scheduler.drivers": "orc.worker",
    "scheduler.executors": (
        "ledger ledger.files ledger.secrets orc.worker scheduler.core scheduler.core.source "
        "scheduler.core.spec scheduler.drivers scheduler.effects"
    ),
    "scheduler.batches": (
        "ledger providers providers.batches scheduler scheduler.core scheduler.core.fold "
        "scheduler.effects"
    ),
    "scheduler.effects": (
        "ledger ledger.files ledger.secrets ledger.servers orc.worker providers "
        "providers.embeddings providers.replies.ends providers.servers scheduler.core "
        "scheduler.core.resolve.servers "
        "scheduler.core.resolve.targets scheduler.executors.contract"
    ),
    "scheduler.inputs": (
        "ledger ledger.inputs ledger.secrets orc.worker scheduler.core scheduler.core.language "
        "scheduler.core.tables"
    ),
    "scheduler.asking": "ledger providers scheduler scheduler.core scheduler.effects",
    "scheduler.folders": (
        "ledger ledger.files ledger.inputs ledger.secrets orc.worker scheduler.core "
        "scheduler.core.fold scheduler.effects scheduler.executors"
    ),
    "scheduler": (
        "ledger ledger.files ledger.inputs ledger.secrets orc.worker providers scheduler.asking "
        "scheduler.batches "
        "scheduler.core scheduler.core.fold scheduler.core.language scheduler.core.resolve "
        "scheduler.core.rules scheduler.core.shell scheduler.core.spec scheduler.effects "
        "scheduler.executors scheduler.folders scheduler.inputs"
    ),
    "scheduler.hooks": (
        "ledger ledger.files ledger.secrets scheduler scheduler.core scheduler.core.fold "
        "scheduler.effects scheduler.executors scheduler.inputs"
    ),
    # How a provider is billed, and what telemetry calls it: plain data, and no provider's code.
    "projections.money": "ledger ledger.servers providers.catalogue",
    "projections.folds": "ledger ledger.files ledger.inputs projections.money",
    "projections.caches": "ledger ledger.transport projections.folds",
    "projections.tables": "ledger ledger.files ledger.transport projections.folds projections.money",
    "projections.scores": "ledger projections.tables",
    "projections.history": (
        "ledger ledger.files ledger.inputs projections.folds projections.money projections.scores "
        "projections.tables"
    ),
    "projections.folder": "ledger ledger.files ledger.inputs projections.folds projections.money",
    "projections.search": "ledger ledger.files projections.history projections.tables.own_schema",
    "projections.why": (
        "ledger ledger.transport projections.folds projections.history projections.tables"
    ),
    "projections.contents": "ledger",
    "projections.pictures": "ledger projections.history projections.tables",
    "projections.charts": "ledger projections.pictures projections.scores projections.tables",
    "projections.pages": (
        "ledger ledger.files ledger.transport projections.charts projections.contents "
        "projections.damage "
        "projections.folder projections.folds projections.history projections.money "
        "projections.pictures projections.scores projections.search projections.tables "
        "projections.why"
    ),
    "projections.pages.acting": "ledger ledger.files projections.pages projections.tables",
    "projections.exports": (
        "ledger projections.folds projections.history projections.money projections.pages "
        "projections.scores projections.tables providers.catalogue"
    ),
    "projections.datasette": (
        "ledger ledger.files projections.money projections.pages projections.pages.acting "
        "projections.pictures projections.tables"
    ),
    "projections": "ledger projections.folder projections.money projections.tables",
    # Use cases do not import the terminal, so that the Python API can be built on them.
    "cli.jobs.caller": (
        "cli ledger ledger.files ledger.inputs ledger.secrets ledger.servers "
        "ledger.transport projections.history projections.money providers providers.servers "
        "scheduler.core scheduler.core.fold scheduler.core.resolve scheduler.core.source "
        "scheduler.core.spec scheduler.core.tables scheduler.drivers "
        "scheduler.effects.groups scheduler.effects.targets scheduler.executors "
        "scheduler.folders.globs scheduler.folders.work_folder"
    ),
    "cli.jobs.hooks": (
        "cli.jobs ledger projections.tables scheduler scheduler.core.fold scheduler.hooks"
    ),
    "cli.jobs.telemetry": "ledger projections.exports",
    "cli.jobs": (
        "cli cli.jobs.caller cli.jobs.hooks cli.jobs.planning cli.jobs.telemetry ledger ledger.files "
        "ledger.inputs ledger.secrets ledger.transport projections projections.caches "
        "projections.exports projections.folder "
        "projections.folds projections.history projections.money projections.pages "
        "projections.scores projections.search projections.tables providers scheduler "
        "scheduler.core scheduler.core.fold "
        "scheduler.core.resolve scheduler.core.rules scheduler.core.spec scheduler.effects "
        "scheduler.executors scheduler.folders"
    ),
    "cli.jobs.assess": (
        "cli cli.jobs cli.jobs.caller ledger projections.pages scheduler scheduler.core "
        "scheduler.core.fold"
    ),
    "cli.jobs.acting": (
        "cli cli.jobs cli.jobs.caller ledger ledger.files projections.history projections.pages "
        "scheduler scheduler.core scheduler.core.spec"
    ),
    "cli.jobs.planning": (
        "ledger projections.money scheduler scheduler.core scheduler.core.language "
        "scheduler.core.resolve"
    ),
    "cli.jobs.queue": (
        "cli cli.jobs cli.jobs.caller.step_names ledger ledger.files projections.tables scheduler "
        "scheduler.core scheduler.core.fold"
    ),
    "cli.terminal": (
        "cli cli.jobs cli.jobs.caller cli.jobs.queue cli.terminal.asking cli.terminal.progress "
        "cli.terminal.tables ledger "
        "ledger.files ledger.secrets "
        "ledger.transport projections projections.folder projections.folds projections.money "
        "projections.scores projections.tables providers scheduler.core scheduler.core.fold "
        "scheduler.core.spec"
    ),
    "cli.terminal.contents": (
        "cli cli.assess cli.terminal cli.terminal.tables ledger ledger.definition ledger.files "
        "ledger.transport projections.contents "
        "projections.exports projections.folds projections.history projections.scores "
        "projections.tables scheduler.core"
    ),
    "cli.terminal.tables": "cli cli.terminal",
    "cli.terminal.progress": "ledger projections.history scheduler.core.fold",
    "cli.terminal.asking": (
        "cli cli.jobs cli.terminal cli.terminal.contents ledger projections.history "
        "projections.tables scheduler scheduler.core.fold"
    ),
    "cli.assess": (
        "cli cli.terminal cli.terminal.tables ledger projections.scores projections.tables "
        "scheduler.core"
    ),
    "cli.browse": "cli cli.terminal ledger.files projections.pages scheduler.stopping",
    "cli.cluster": (
        "cli cli.jobs.caller ledger ledger.files orc.worker.cores providers scheduler.core "
        "scheduler.core.spec scheduler.drivers scheduler.executors scheduler.stopping"
    ),
    "cli.chaos": "cli cli.jobs cli.terminal ledger ledger.files projections projections.money",
    "cli.mcp": "cli.jobs ledger scheduler.core scheduler.core.spec",
    "cli.doctor": (
        "cli cli.cluster cli.jobs cli.jobs.caller ledger ledger.files ledger.servers providers "
        "providers.servers scheduler.core scheduler.core.resolve scheduler.effects"
    ),
    "cli.commands": (
        "cli cli.assess cli.browse cli.chaos cli.cluster cli.doctor cli.jobs cli.jobs.acting "
        "cli.jobs.assess cli.mcp "
        "cli.jobs.caller cli.jobs.queue cli.terminal cli.terminal.contents cli.terminal.tables "
        "ledger ledger.files "
        "ledger.transport projections projections.exports projections.folder projections.folds "
        "projections.history projections.money projections.pages projections.pictures "
        "projections.scores projections.search projections.tables projections.why scheduler "
        "scheduler.core scheduler.core.fold scheduler.core.resolve scheduler.core.spec "
        "scheduler.drivers"
    ),
    "cli": (
        "cli.jobs cli.jobs.caller cli.terminal ledger ledger.files ledger.secrets projections.tables "
        "providers scheduler.core scheduler.core.spec"
    ),
    # The Python API returns values: it imports neither `cli.terminal` nor `cli.commands`.
    "orc": (
        "cli cli.jobs cli.jobs.caller cli.jobs.queue ledger ledger.files.written_paths "
        "projections.history projections.money projections.scores projections.tables scheduler.core "
        "scheduler.core.fold scheduler.core.source scheduler.core.spec"
    ),
}
# What each folder may import besides the standard library. Providers import trio since they wait
# for the network (decision 0002).
OUTSIDE = {
    "ledger": {"msgspec", "sqlite_utils"},  # and, by name only, pandas or polars
    "providers": {
        "httpx",
        "httpx2",
        "openai",
        "anthropic",
        "mlx",
        "mlx_lm",
        "trio",
        "msgspec",
        "pydantic",
    },
    "scheduler/core": {
        "msgspec",
        "pydantic",
        "yaml",
        "jinja2",
        "jsonschema",
        "rapidfuzz",
        "re2",
        "tree_sitter",
        "tree_sitter_bash",
    },
    "scheduler": {
        "trio",
        "tenacity",
        "msgspec",
        "pydantic",
        "json_repair",
        "jsonschema",
        "referencing",
        "anyio",  # with the extra `mcp`, in one module
        "mcp",
        "mcp_types",
    },
    "scheduler/drivers": {"distributed", "msgspec"},
    "projections": {
        "msgspec",
        "pydantic",
        "sqlite_utils",
        "datasette",
        "genai_prices",
        "jinja2",
        "markdown_it",
        "markupsafe",
        "nh3",
        "pygments",
    },
    "cli": {
        "dotenv",
        "typer",
        "click",
        "rich",
        "trio",
        "datasette",
        "uvicorn",
        "yaml",
        "msgspec",
        "pydantic",
        "opentelemetry",  # the extra `otel`, in one module
        "mcp",  # the extra `mcp`, in one module
        "cryptography",  # certificates of a cluster
        "pyarrow",  # tables in Parquet
    },
    "orc": {"trio", "msgspec", "yaml", "IPython"},  # the latter only in a notebook
    # In one script, to describe functions as tools: that happens beside the scheduler only. An
    # engine is imported only where a worker of it has loaded it already.
    "orc/worker": {"pydantic", "dask", "distributed"},
}
_BARE = re.compile(rf"^\s*(?:from|import) (?:{'|'.join(PACKAGES)})\b.*", re.MULTILINE)
IMPURE = set(
    "asyncio io logging multiprocessing os pathlib random secrets shutil signal socket sqlite3 "
    "subprocess tempfile threading time urllib uuid trio".split()
)
LINES_MAX = 400
FOLDER_MAX = 30
# What the ledger holds: a package that may import `ledger` may import these.
RECORDED = {"ledger.definition", "ledger.events"}


@cache
def modules() -> tuple[Path, ...]:
    """The modules of the five folders, and those of `orc` itself (its subfolders are links)."""
    inside = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    worker = (ROOT / "orc" / "worker").rglob("*.py")
    return tuple(sorted([*inside, *(ROOT / "orc").glob("*.py"), *worker]))


@cache
def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def nodes_in(source: str) -> Nodes:
    """Every node of the syntax tree of a module; its root is the first."""
    return tuple(ast.walk(ast.parse(source)))


@cache
def nodes_of(path: Path) -> Nodes:
    """The nodes of a module of ours: read once, since many rules look at all of them."""
    return nodes_in(text_of(path))


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    """Remove the million nodes at the end, for the sake of the other tests in this process."""
    yield
    nodes_of.cache_clear()


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def those_with(
    faults: Callable[[Path], Iterable[str]], paths: Iterable[Path]
) -> dict[str, list[str]]:
    """What a rule finds in each of these modules; a rule is one test, which names all of them."""
    found = {name_of(path): list(faults(path)) for path in paths}
    return {name: said for name, said in found.items() if said}


def folder_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    apart = {("scheduler", "core"), ("scheduler", "drivers"), ("orc", "worker")}
    return "/".join(relative.parts[:2]) if relative.parts[:2] in apart else relative.parts[0]


def package_of(path: Path) -> str:
    """The dotted name of a module's package, without `orc.`; `orc` for the Python API."""
    return ".".join(path.relative_to(ROOT).parts[:-1])


@cache
def packages() -> frozenset[str]:
    return frozenset(package_of(path) for path in modules())


@cache
def module_paths() -> dict[str, Path]:
    """Each module by its name; a package's root has the name of the package."""
    found = {}
    for path in modules():
        parts = [*path.relative_to(ROOT).with_suffix("").parts]
        if parts[0] != "orc":
            parts.insert(0, "orc")
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def package_named(name: str) -> str:
    """The package that contains the module `name`, or that is called `name`."""
    if f"{name}.".startswith("orc.worker."):
        return "orc.worker"
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in packages():
        parts.pop()
    return ".".join(parts) or "orc"


def is_allowed(package: str, other: str) -> bool:
    allowed = {package, *MAY_IMPORT[package].split()}
    return other in allowed or (other in RECORDED and "ledger" in allowed)


def names_imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The modules that a statement imports: `a.b` for `from a import b` if `b` is a module of ours."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    else:
        assert node.level == 0, f"line {node.lineno}: a relative import"
        for alias in node.names:
            inside = f"{node.module}.{alias.name}"
            yield inside if inside in module_paths() else str(node.module)


@cache
def imports(path: Path) -> tuple[str, ...]:
    return tuple(
        name
        for node in nodes_of(path)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in names_imported(node)
    )


def test_the_modules_of_every_package_are_checked() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in modules()} == {"orc", *PACKAGES}
    api = {path.name for path in modules() if package_of(path) == "orc"}
    assert api == {
        "__init__.py",
        "about.py",
        "api.py",
        "arguments.py",
        "asynchronous.py",
        "in_threads.py",
        "notebook.py",
        "queue.py",
    }


def imports_not_allowed(path: Path) -> Iterator[str]:
    """What a module imports although its package may not."""
    package = package_of(path)
    is_root = path.name == "__init__.py"
    for name in imports(path):
        root = name.partition(".")[0]
        if root == "orc" and name not in FOR_ALL:
            other = package_named(name)
            is_below = is_root and other.startswith(f"{package}.")
            # The modules of `orc/worker/` have their whole names in the rows.
            is_single = is_allowed(package, name.removeprefix("orc.")) or is_allowed(package, name)
            if not (is_below or is_single or is_allowed(package, other)):
                yield name
        elif root not in {"orc", *sys.stdlib_module_names, *OUTSIDE[folder_of(path)]}:
            yield name


def test_a_module_imports_only_what_its_package_may() -> None:
    assert those_with(imports_not_allowed, modules()) == {}


def test_every_package_has_its_row_and_no_row_is_stale() -> None:
    assert set(MAY_IMPORT) == packages()
    named = {name for row in MAY_IMPORT.values() for name in row.split()}
    single = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules()}
    assert named <= packages() | single


def test_nothing_imports_the_five_folders_by_their_bare_names() -> None:
    paths = [*modules(), *(ROOT / "docs").glob("*.py")]
    paths += [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    # Searched as text, since tests also contain programs in strings.
    bare = {
        f"{path.relative_to(ROOT)}: {found}"
        for path in paths
        for found in _BARE.findall(path.read_text("utf-8"))
    }
    assert not bare


def for_types(nodes: Nodes) -> Iterator[ast.stmt]:
    """The statements below `if TYPE_CHECKING:`."""
    for node in nodes:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
            yield from node.body if node.test.id == "TYPE_CHECKING" else ()


@cache
def homes_in(module: str) -> Mapping[str, str]:
    """The modules of the names that a package's root loads lazily."""
    if "_HOMES" not in text_of(module_paths()[module]):
        return {}
    homes: Mapping[str, str] = import_module(module)._HOMES
    return homes


def modules_needed(nodes: Nodes) -> set[str]:
    """The modules of ours that a module imports, also inside functions, but not for types alone.

    A name that a package's root loads lazily (`_HOMES`) stands for the module that defines it.
    """
    skipped = {id(node) for statement in for_types(nodes) for node in ast.walk(statement)}
    found = set()
    for node in nodes:
        if not isinstance(node, ast.Import | ast.ImportFrom) or id(node) in skipped:
            continue
        found |= set(names_imported(node))
        if isinstance(node, ast.ImportFrom) and node.module in module_paths():
            homes = homes_in(node.module)
            found |= {
                f"{node.module}.{homes[alias.name]}" for alias in node.names if alias.name in homes
            }
    return found & module_paths().keys()


def test_no_modules_import_each_other_in_a_cycle() -> None:
    left = {name: modules_needed(nodes_of(path)) - {name} for name, path in module_paths().items()}
    while True:
        # A module that imports none of the remaining modules is in no cycle.
        ends = {name for name, needed in left.items() if not needed & left.keys()}
        if not ends:
            break
        left = {name: needed for name, needed in left.items() if name not in ends}
    cycles = {name: needed & left.keys() for name, needed in left.items()}
    assert not cycles


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("import orc.ledger.store", {"orc.ledger.store"}),
        ("def f():\n    import orc.ledger.store as s", {"orc.ledger.store"}),
        ("from orc.ledger import store", {"orc.ledger.store"}),
        ("from orc.ledger.store import Ledger", {"orc.ledger.store"}),
        ("from orc.ledger import Ledger", {"orc.ledger", "orc.ledger.store"}),
        ("from orc import run", {"orc", "orc.api"}),
        ("if TYPE_CHECKING:\n    from orc.ledger import Ledger", set()),
    ],
)
def test_the_rule_on_cycles_sees_every_form_of_import(source: str, needed: set[str]) -> None:
    assert modules_needed(nodes_in(source)) == needed


def test_every_command_is_the_module_of_its_name() -> None:
    found = {path.stem for path in (ROOT / "cli" / "commands").glob("[!_]*.py")}
    assert {module_name(command) for command in COMMANDS} == {
        f"orc.cli.commands.{stem}" for stem in found
    }


def impure_imports(path: Path) -> set[str]:
    # `urllib.parse` does no I/O.
    names = set(imports(path)) - {"urllib.parse"}
    return IMPURE.intersection(name.partition(".")[0] for name in names)


def test_the_core_imports_nothing_for_clocks_random_numbers_or_files() -> None:
    assert those_with(impure_imports, (ROOT / "scheduler" / "core").rglob("*.py")) == {}


def test_the_python_worker_imports_nothing_of_ours() -> None:
    names = {name.partition(".")[0] for name in imports(ROOT / "orc/worker/function_worker.py")}
    # pydantic describes a function as a tool for a model and checks its arguments.
    assert names <= sys.stdlib_module_names | {"pydantic"}


def test_the_rule_on_the_core_notices_a_clock() -> None:
    assert "time" in impure_imports(ROOT / "scheduler" / "clock.py")


@pytest.mark.parametrize("package", ["orc", "orc.ledger", "orc.providers", "orc.projections"])
def test_a_package_root_lists_its_lazy_names_and_their_types_alike(package: str) -> None:
    module = import_module(package)
    typed = {
        alias.name: (node.module or "").removeprefix(f"{package}.")
        for node in for_types(nodes_of(module_paths()[package]))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == module._HOMES
    assert set(module.__all__) == set(typed)
    for name in typed:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


def test_no_package_has_more_than_thirty_modules() -> None:
    found = Counter(package_of(path) for path in modules() if path.name != "__init__.py")
    # One module for each command.
    del found["cli.commands"]
    assert {name: count for name, count in found.items() if count > FOLDER_MAX} == {}


def test_no_two_classes_in_a_folder_have_the_same_name() -> None:
    where: dict[tuple[str, str], list[str]] = {}
    for path in modules():
        for node in nodes_of(path):
            if isinstance(node, ast.ClassDef):
                key = (path.relative_to(ROOT).parts[0], node.name)
                where.setdefault(key, []).append(str(path.relative_to(ROOT)))
    assert {key: paths for key, paths in where.items() if len(paths) > 1} == {}


def test_no_module_is_longer_than_the_limit() -> None:
    lines = {name_of(path): len(text_of(path).splitlines()) for path in modules()}
    long = {name: count for name, count in lines.items() if count > LINES_MAX}
    assert long == {}


# Values that may equal the name of a kind of step but are not one, such as the URL scheme `http`.
NO_KINDS = ("url.scheme", "scope['type']")


def kinds_compared(nodes: Nodes) -> Iterator[str]:
    """The kinds of steps that a module compares something with, by `==`, `in` or `match`."""
    for node in nodes:
        values: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            values = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            values = [node.value]
        for value in values:
            for found in ast.walk(value):
                if not isinstance(found, ast.Constant) or found.value not in KINDS:
                    continue
                if isinstance(node, ast.Compare) and ast.unparse(node.left) in NO_KINDS:
                    continue
                yield f"line {found.lineno}: {found.value}"


def kinds_listed(nodes: Nodes) -> Iterator[str]:
    """Collections of two or more kinds, and kinds in SQL."""
    for node in nodes:
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


def kinds_named(nodes: Nodes) -> list[str]:
    return [*kinds_compared(nodes), *kinds_listed(nodes)]


def test_no_module_compares_or_lists_names_of_kinds() -> None:
    others = [path for path in modules() if not may_name_kinds(path)]
    assert those_with(lambda path: kinds_named(nodes_of(path)), others) == {}


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
def test_the_rule_on_kinds_notices(source: str) -> None:
    assert kinds_named(nodes_in(source))


def makes_events(path: Path) -> bool:
    """Whether a module makes events that can be appended."""
    return "Recorded(" in text_of(path) and any(
        isinstance(node, ast.Call) and ast.unparse(node.func) == "Recorded"
        for node in nodes_of(path)
    )


def test_every_module_that_makes_events_masks_them() -> None:
    makers = {
        name_of(path)
        for path in modules()
        if makes_events(path) and "mask_event(" not in text_of(path).replace("def mask_event(", "")
    }
    # The first reads events that are stored, the second repeats those that it has just stored, and
    # the third takes events from those who mask them.
    assert makers == {"ledger/codec.py", "ledger/store.py", "scheduler/turn.py"}
    folding = {path for path in modules() if "turn.fold(" in text_of(path)}
    assert folding
    for path in folding:
        assert "mask_event(" in text_of(path) or "guarded_events(" in text_of(path), path


def test_no_module_of_ours_opens_a_ledger_or_runs_a_job_without_a_mask() -> None:
    empty = re.compile(r"\bNO_MASK\b|\bMask\(\{\}\)")
    found = {name_of(path) for path in modules() if empty.search(text_of(path))}
    # The output mask is empty until `main` widens it.
    assert found == {"ledger/secrets/masking.py", "cli/output_mask.py"}


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


def words_of(nodes: Nodes) -> Iterator[str]:
    """What the f-strings of a module word for people, by the names in WORDED."""
    for node in nodes:
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
    found = {(name_of(path), what) for path in others for what in words_of(nodes_of(path))}
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
    assert what in set(words_of(nodes_in(source)))
