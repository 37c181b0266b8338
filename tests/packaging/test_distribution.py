"""What is built and installed: one import package, which lives beside anything else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from orc.about import DISTRIBUTION
from tests.processes import ROOT

FOLDERS = ("cli", "ledger", "projections", "providers", "scheduler")
WAIT_S = 120.0
RUDE = 'raise ImportError("this module belongs to somebody else")\n'
# What installs beside orc and has modules of the same names, as hatchling builds it.
NEIGHBOUR = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "neighbour"
version = "1"
[tool.hatch.build.targets.wheel]
only-include = ["cli.py", "ledger", "projections", "providers.py", "scheduler"]
"""


def call(*arguments: str | Path, cwd: Path) -> str:
    """What a command prints; an error with all that it said when it fails."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        arguments, cwd=cwd, env=environment, capture_output=True, text=True, timeout=WAIT_S
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def build(source: Path, target: str, folder: Path) -> Path:
    """The file that hatchling makes of a source tree: `wheel` or `sdist`."""
    call(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder, cwd=source)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of this tree."""
    return build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


def contents(wheel: Path) -> dict[str, bytes]:
    """Each file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_nothing_of_the_wheel_but_the_manual_page_lies_outside_of_orc(wheel: Path) -> None:
    roots = {name.partition("/")[0] for name in contents(wheel)}

    own = f"{DISTRIBUTION.replace('-', '_')}-{wheel.name.split('-')[1]}"
    assert roots == {"orc", f"{own}.dist-info", f"{own}.data"}
    data = [name for name in contents(wheel) if name.startswith(f"{own}.data")]
    assert data == [f"{own}.data/data/share/man/man1/orc.1"]


def test_the_wheel_has_each_module_once_and_what_it_needs_beside(wheel: Path) -> None:
    names = set(contents(wheel))
    tracked = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]

    assert {f"orc/{path.relative_to(ROOT)}" for path in tracked} <= names
    assert {"orc/py.typed", "orc/cli/examples/tiny_spec.yaml"} <= names
    assert "orc/projections/pages/templates/base.html" in names
    with zipfile.ZipFile(wheel) as archive:
        assert len(archive.namelist()) == len(names)
        # A link would be stored as one; the upper half of this field is the file's mode.
        assert not [i.filename for i in archive.infolist() if i.external_attr >> 28 == 0o12]


def test_the_source_distribution_has_each_file_once_and_no_links(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    names = [member.name.partition("/")[2] for member in members]

    assert len(names) == len(set(names))
    assert all(member.isfile() for member in members)
    assert not [name for name in names if name.startswith(tuple(f"{one}/" for one in FOLDERS))]
    assert {"orc/ledger/store.py", "README.md", "LICENSE", "pyproject.toml"} <= set(names)
    assert {name.partition("/")[0] for name in names if "/" in name} == {"docs", "orc"}


def test_every_file_names_the_distribution_as_pyproject_does() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == DISTRIBUTION
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        installed = re.findall(r"pip install '([\w-]+)\[", page.read_text("utf-8"))
        # The page on migration also quotes the former name.
        assert set(installed) <= {DISTRIBUTION} | (
            {"orc"} if page.name == "migration.md" else set()
        )


def test_a_wheel_of_the_source_distribution_equals_a_wheel_of_the_tree(
    wheel: Path, sdist: Path, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()

    assert contents(build(source, "wheel", tmp_path / "built")) == contents(wheel)


def test_the_image_is_built_from_what_the_wheel_needs_and_runs_without_root(
    wheel: Path, tmp_path: Path
) -> None:
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    copied = [line.split()[1:-1] for line in lines if re.match(r"COPY (?!--)", line)]
    for name in [name for names in copied for name in names]:
        target = tmp_path / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, target, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, target)
    assert contents(build(tmp_path / "source", "wheel", tmp_path / "built")) == contents(wheel)
    set_to = {line.partition(" ")[0]: line.partition(" ")[2] for line in lines if line}
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", set_to["USER"])
    assert f"ORC_DB={set_to['VOLUME']}/" in set_to["ENV"]
    assert set_to["STOPSIGNAL"] == "SIGTERM"


def new_environment(folder: Path) -> Path:
    """A virtual environment that has what orc depends on, and nothing of orc; its python."""
    call(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    # A path file of a path file is not read: the editable installation of this tree stays out.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python


def install(python: Path, wheel: Path) -> None:
    """Install a wheel alone."""
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile")
    call(*pip, "--no-deps", "--no-index", wheel, cwd=wheel.parent)


def test_orc_works_beside_a_package_and_a_script_folder_with_modules_of_the_same_names(
    wheel: Path, tmp_path: Path
) -> None:
    source = tmp_path / "neighbour"
    scripts = tmp_path / "scripts"
    for folder in (source, scripts):
        folder.mkdir()
        for name in ("cli", "providers"):
            (folder / f"{name}.py").write_text(RUDE)
        for name in ("ledger", "projections", "scheduler"):
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(RUDE)
    (source / "pyproject.toml").write_text(NEIGHBOUR)
    neighbour = build(source, "wheel", tmp_path / "built")
    python = new_environment(tmp_path / "environment")
    install(python, neighbour)
    install(python, wheel)
    install(python, neighbour)
    (site,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    (scripts / "use.py").write_text(
        "import orc, sys\n"
        "from pathlib import Path\n"
        "spec = Path(orc.__file__).parent / 'cli' / 'examples' / 'tiny_spec.yaml'\n"
        "job = orc.run(spec, provider='replay')\n"
        "print(job.status, orc.__file__)\n"
        f"print(sorted({set(FOLDERS)!r} & set(sys.modules)))\n"
    )

    lines = call(python, scripts / "use.py", cwd=scripts).splitlines()
    assert lines == [f"succeeded {site / 'orc' / '__init__.py'}", "[]"]
    orc = python.with_name("orc")
    assert call(orc, "demo", "--json", cwd=scripts).splitlines()
    call(orc, "verify", cwd=scripts)
    ours = {path.name for path in site.iterdir()} - {"dependencies.pth", "cli.py", "providers.py"}
    ours -= {"ledger", "projections", "scheduler", "neighbour-1.dist-info", "__pycache__"}
    assert {name.partition("-")[0] for name in ours} == {"orc", DISTRIBUTION.replace("-", "_")}
