"""What `release.yml` needs of Python: compare the tag with the version, build what is published.

    python .github/release.py tag v1.2.0
    python .github/release.py build dist

`tag` needs only the standard library; `build` needs the package `build`, which `make dist` installs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> str | None:
    """Run one of the two commands. Returns why the release must not go on, or None."""
    match arguments:
        case ["tag", tag]:
            return problem_of_tag(tag)
        case ["build", folder]:
            return build(Path(folder))
        case _:
            return __doc__


def problem_of_tag(tag: str) -> str | None:
    """What is wrong with a tag, or None if it names the version of pyproject.toml."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    if tag == f"v{version}":
        return None
    return (
        f"the tag is {tag}, but pyproject.toml has version {version}: expected the tag v{version}"
    )


def build(folder: Path) -> str | None:
    """Write sdist and wheel to a folder. Says how the wheel differs from one built from the tree.

    The published wheel is built from the sdist; a file that the sdist lacks would be missing in it.
    """
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True)
    with tempfile.TemporaryDirectory() as other:
        subprocess.run(
            [sys.executable, "-m", "build", "--wheel", "--outdir", other, ROOT], check=True
        )
        return difference(the_wheel(folder), the_wheel(Path(other)))


def the_wheel(folder: Path) -> Path:
    """The only wheel in a folder. Raises ValueError if there is none, or more than one."""
    (wheel,) = folder.glob("*.whl")
    return wheel


def difference(from_sdist: Path, from_tree: Path) -> str | None:
    """How two wheels differ in name, files, contents or permissions; None if they do not."""
    if from_sdist.name != from_tree.name:
        return f"the sdist gives {from_sdist.name}, the tree gives {from_tree.name}"
    ours, theirs = contents(from_sdist), contents(from_tree)
    differing = sorted(
        name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    )
    if differing:
        return f"the wheels from sdist and tree differ in: {', '.join(differing)}"
    return None


def contents(wheel: Path) -> dict[str, tuple[bytes, int]]:
    """The bytes and the permissions of each file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            entry.filename: (archive.read(entry), entry.external_attr >> 16)
            for entry in archive.infolist()
        }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
