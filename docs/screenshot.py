"""Makes the pictures in `docs/images/` again: `.venv/bin/python docs/screenshot.py [NAME]`.

Needs Chromium. `job.png` is the page of a job with retries, a tolerated failure, a loop and a human
review, which runs offline on recorded replies. The others are pages of the jobs of the tutorials.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).resolve().parent / "images"
WIDTH = 1180
WAIT_S = 30.0
ORC = Path(sys.executable).with_name("orc")
SPEC = """\
project: release_notes
task_description: Write the release notes of a small library, chapter by chapter, and check them.
provider: openai
model: gpt-4o-mini
params: {max_tokens: 300}
budget: {max_cost_usd: 0.05, max_calls: 50}
steps:
  outline:
    prompt: Outline ${{ task_description }}
    output: {format: json}
  chapter:
    for_each: ${{ steps.outline.output.chapters }}
    as: chapter
    max_parallel: 2
    prompt: Write the chapter ${{ chapter }}
  lint:
    needs: chapter
    retry: {max_attempts: 2, initial: 0.3s}
    run: test -e "$ORC_ARTIFACTS/../tried" || { touch "$ORC_ARTIFACTS/../tried"; exit 1; }
  flaky:
    needs: outline
    run: echo broken >&2; exit 3
    continue_on_error: true
  after_flaky:
    if: ${{ steps.flaky.status == 'failed' }}
    value: skipped the check
  draft:
    loop: {max_iterations: 2}
    steps:
      write: {run: "sleep 0.1; echo draft"}
      judge: {needs: write, run: "sleep 0.05; echo good"}
  summary:
    needs: [lint, after_flaky, draft]
    prompt: Sum up ${{ steps.chapter.output }}
  sign_off:
    needs: summary
    approval: {message: Publish the notes?}
  publish:
    needs: sign_off
    run: echo published
"""
REPLIES = {
    "outline": ('{"chapters": ["New", "Fixed", "Changed", "Thanks"]}', 0.4),
    "chapter[0]": ("A new command.", 0.6),
    "chapter[1]": ("Two faults.", 0.9),
    "chapter[2]": ("A default.", 0.3),
    "chapter[3]": ("To all.", 0.5),
    "summary": ("A release with one new command.", 0.2),
}
"""The reply of each model step, and the seconds until it comes."""
USAGE = {"input_tokens": 410, "output_tokens": 96}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a page, `height` pixels high. `make` runs the job in a folder.

    `path` is that of the page below the page of the job; without it, the job is the picture.
    """

    name: str
    make: Callable[[Path], None]
    height: int
    path: str = ""


def main() -> None:
    """Run the jobs, serve their ledgers, and write the pictures."""
    for picture in PICTURES:
        if picture.name not in (sys.argv[1:] or [picture.name]):
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            picture.make(folder)
            command = [ORC, "browse", "latest", "--no-open", "--json", "--port", "0"]
            server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
            try:
                assert server.stdout is not None
                _take(json.loads(server.stdout.readline())["url"], picture)
            finally:
                server.terminate()
                server.wait(timeout=WAIT_S)


def _release_notes(folder: Path) -> None:
    (folder / "spec.yaml").write_text(SPEC, "utf-8")
    replies = {
        step: [{"text": text, "latency_s": latency_s, "usage": USAGE}]
        for step, (text, latency_s) in REPLIES.items()
    }
    document = json.dumps({"version": 1, "replies": replies})
    (folder / "replies.yaml").write_text(document, "utf-8")
    run = ["run", "spec.yaml", "--provider", "replay", "-m", "gpt-4o-mini"]
    _orc(folder, *run, "--replies", "replies.yaml")
    time.sleep(2)
    _orc(folder, "approve", "latest", "sign_off")
    _orc(folder, "resume", "latest")


def _starter(name: str, *options: str) -> Callable[[Path], None]:
    """Run a starter spec of `orc init`."""

    def make(folder: Path) -> None:
        _orc(folder, "init", name)
        _orc(folder, "run", f"{name}.yaml", "-p", "replay", *options)

    return make


PICTURES = (
    Picture("job", _release_notes, 1330),
    Picture("folder", _starter("summarise-folder"), 1100),
    Picture(
        "table", _starter("extract-table", "-i", "ask=false"), 700, path="/file/table~2Ftable~2Ecsv"
    ),
    Picture("evaluation", _starter("eval"), 510, path="/results"),
)


def _orc(folder: Path, *arguments: str) -> None:
    subprocess.run([ORC, *arguments], cwd=folder, check=False, timeout=WAIT_S)


def _take(link: str, picture: Picture) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": picture.height})
        page.goto(link)
        page.wait_for_selector("#graph")
        if picture.path:
            page.goto(page.url.partition("?")[0] + picture.path)
        page.screenshot(path=IMAGES / f"{picture.name}.png")
        browser.close()


if __name__ == "__main__":
    main()
