"""The commands and code of the README run, and give the output that it shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.docs.conftest import (
    ROOT,
    Block,
    blocks_of,
    plain_environment,
    read_page,
    run_shell,
)


def block_with(text: str, *, language: str) -> Block:
    [found] = [block for block in blocks_of("README.md", language=language) if text in block.text]
    return found


def normal(text: str, folder: Path) -> list[str]:
    """The lines in an order that does not depend on which of two parallel steps ended first."""
    text = text.replace(str(folder.resolve()), "...").replace(str(folder), "...")
    text = re.sub(r"/\S+/examples/", ".../examples/", text)
    text = re.sub(r"job_[a-z0-9]{12}", "job_...", text)
    text = re.sub(r"\d\d:\d\d:\d\d\.\d{3}", "TIME", text)
    return sorted(
        re.sub(r"in (?:\d+ ms|\d+\.\d s)$", "in N", text, flags=re.MULTILINE).splitlines()
    )


def test_the_demo_prints_what_the_readme_shows_and_leaves_the_files_that_it_names(
    tmp_path: Path,
) -> None:
    shown = block_with("Next:", language="text").text
    *lines, last = shown.splitlines()
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert last.replace(".venv/bin", "$(BIN)") in makefile
    (tmp_path / "demo").mkdir()
    done = run_shell("orc demo", tmp_path / "demo")
    assert done.returncode == 0, done.stdout
    assert normal(done.stdout, tmp_path) == normal("\n".join(lines), tmp_path)

    looked = run_shell(block_with("cat src/generated", language="sh").text, tmp_path)
    assert looked.returncode == 0, looked.stdout
    assert "FastAPI" in looked.stdout
    folder = block_with("manifest.json", language="text").text
    names = re.findall(r"^  (\S+?)/?  ", folder, re.MULTILINE)
    assert len(names) == 7
    assert set(names) <= set(looked.stdout.split())


def test_a_job_that_is_killed_as_in_the_readme_can_be_resumed(checkout: Path) -> None:
    script = block_with("kill -9", language="sh").text
    done = run_shell(f"{script}\norc tail latest", checkout)
    assert done.returncode == 0, done.stdout
    assert "tiny_notes_api  interrupted" in done.stdout
    assert "job.succeeded" in done.stdout
    starts = re.findall(r"step\.started +(\w+) (\d)", done.stdout)
    assert starts.count(("architect", "1")) == 1
    assert ("architect", "2") not in starts
    assert max(attempt for _, attempt in starts) == "2"
    assert "intact" in done.stdout


def test_the_readers_first_spec_runs(tmp_path: Path) -> None:
    spec = block_with("project: hello", language="yaml").text
    (tmp_path / "hello.yaml").write_text(spec, "utf-8")
    done = run_shell(block_with("orc run hello.yaml", language="sh").text, tmp_path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("Hello, ADA!\nYour name has 3 bytes.\n")


def test_the_python_example_prints_what_the_readme_shows(checkout: Path) -> None:
    code = block_with("import orc", language="python").text
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=checkout,
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == block_with("1 job.submitted", language="text").text


def test_every_variable_that_the_code_reads_is_in_the_readme_and_the_migration_page() -> None:
    pages = sorted((ROOT / "scheduler/core/resolve").glob("*.py"))
    resolver = "".join(page.read_text("utf-8") for page in pages)
    read = set(re.findall(r'"([A-Z][A-Z_]{3,})"', resolver))
    assert {"PROVIDER", "TEMPERATURE", "MAX_RETRIES"} <= read
    for page in ("README.md", "docs/migration.md"):
        assert {name for name in read if f"`{name}`" not in read_page(page)} == set()


def test_a_second_resume_exits_with_75_and_names_the_owner(checkout: Path) -> None:
    script = """
        printf 'project: p\\nsteps: {slow: {run: sleep 30}}\\n' > slow.yaml
        orc run slow.yaml --quiet &
        until orc tail latest --type step.started 2>/dev/null | grep -q slow; do sleep 0.1; done
        orc resume latest || echo "exit $?"
        orc cancel latest
        wait
    """
    done = run_shell(script, checkout)
    assert re.search(r"is being run by process \d+ on \S+\nexit 75\n", done.stdout), done.stdout


def test_verify_finds_a_changed_file_and_export_restores_the_folder(tmp_path: Path) -> None:
    script = """
        orc demo --quiet
        cp -R runs before
        echo more | tee -a runs/*/outputs/tiny_notes_api/main.py
        orc verify latest || echo "exit $?"
        rm -r runs
        orc export latest
        orc verify latest
        diff -r before runs && echo same
    """
    done = run_shell(script, tmp_path)
    assert "main.py was changed in the run folder" in done.stdout, done.stdout
    assert "exit 5" in done.stdout
    assert done.stdout.endswith("same\n")


def test_files_that_orc_did_not_write_are_kept_and_the_exit_code_says_so(tmp_path: Path) -> None:
    script = """
        mkdir -p src/generated
        echo mine > src/generated/main.py
        orc demo || echo "exit $?"
        cat src/generated/main.py
    """
    done = run_shell(script, tmp_path)
    assert "files are there that orc did not write: main.py" in done.stdout, done.stdout
    assert done.stdout.endswith("exit 7\nmine\n")
