"""Makes `docs/images/job.png` again: `.venv/bin/python docs/screenshot.py`. Needs Chromium.

A job with retries, a tolerated failure, a loop and a human review runs offline on recorded
replies; its page is the picture.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

TARGET = Path(__file__).resolve().parent / "images" / "job.png"
SIZE = {"width": 1180, "height": 1330}
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


def main() -> None:
    """Run the job, serve its ledger, and write the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
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
        command = [ORC, "browse", "latest", "--no-open", "--json", "--port", "0"]
        server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            _take(json.loads(server.stdout.readline())["url"])
        finally:
            server.terminate()
            server.wait(timeout=WAIT_S)


def _orc(folder: Path, *arguments: str) -> None:
    subprocess.run([ORC, *arguments], cwd=folder, check=False, timeout=WAIT_S)


def _take(link: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIZE["width"], "height": SIZE["height"]})
        page.goto(link)
        page.wait_for_selector("#graph")
        page.screenshot(path=TARGET)
        browser.close()


if __name__ == "__main__":
    main()
