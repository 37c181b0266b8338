"""What a step plants in its own run folder leads nothing that orc writes out of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import orc

PLANTS = {
    "a link for the file": "ln -s {victim}/kept.txt said.md",
    "a link for its folder": "ln -s {victim} d",
    "a link for the project": "cd .. && rm -rf x && ln -s {victim} x",
    "a link for the outputs": "cd ../.. && rm -rf outputs && ln -s {victim} outputs",
    "a link for the logs": "cd ../.. && rm -rf logs && ln -s {victim} logs",
    "a link for the artifacts": "cd ../.. && rm -rf artifacts && ln -s {victim} artifacts",
    "a link for the cache": "cd ../.. && rm -rf .cache && ln -s {victim} .cache",
    "a link for the manifest": "ln -sf {victim}/kept.txt ../../manifest.json",
    "a hard link for the file": "ln {victim}/kept.txt said.md",
    "a hard link for a log": "ln {victim}/kept.txt ../../logs/c.1.log",
    "a pipe for the file": "mkfifo said.md",
    "a pipe for a log": "mkfifo ../../logs/c.1.log",
}


@pytest.mark.parametrize("plant", PLANTS)
def test_nothing_outside_the_run_folder_is_written(
    plant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    victim = tmp_path / "victim"
    (victim / "e").mkdir(parents=True)
    (victim / "kept.txt").write_text("kept")
    (victim / "e" / "kept.txt").write_text("kept")
    before = _snapshot(victim)
    Path("spec.replay.yaml").write_text("replies:\n  b: [{text: hello}]\n")
    Path("spec.yaml").write_text(
        "project: x\nprovider: replay\nsteps:\n"
        f"  a: {{run: {json.dumps(PLANTS[plant].format(victim=victim))}}}\n"
        "  b: {prompt: say, needs: a, files: [{path: said.md}, {path: d/e/kept.txt}]}\n"
        '  c: {run: "cat said.md; echo x > $ORC_ARTIFACTS/kept.txt", needs: b, timeout: 10s}\n'
    )

    job = orc.run("spec.yaml")

    assert job.status == "succeeded", job.failures
    assert (job.folder / "outputs/x/said.md").read_text() == "hello"
    assert (job.folder / "logs/c.1.log").read_text() == "hello"
    assert _snapshot(victim) == before


def _snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }
