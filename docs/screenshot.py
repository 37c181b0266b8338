"""Makes `docs/images/job.png` again: `.venv/bin/python docs/screenshot.py`. Needs Chromium.

A job with retries, a tolerated failure, a loop and a human review runs offline on recorded
replies; its page is the picture.
"""

from __future__ import annotations

import shutil
import socket
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
REPLIES = """\
version: 1
replies:
  outline: [{text: '{"chapters": ["New", "Fixed", "Changed", "Thanks"]}', latency_s: 0.4, usage: {input_tokens: 410, output_tokens: 96}}]
  chapter[0]: [{text: A new command., latency_s: 0.6, usage: {input_tokens: 410, output_tokens: 96}}]
  chapter[1]: [{text: Two faults., latency_s: 0.9, usage: {input_tokens: 410, output_tokens: 96}}]
  chapter[2]: [{text: A default., latency_s: 0.3, usage: {input_tokens: 410, output_tokens: 96}}]
  chapter[3]: [{text: To all., latency_s: 0.5, usage: {input_tokens: 410, output_tokens: 96}}]
  summary: [{text: A release with one new command., latency_s: 0.2, usage: {input_tokens: 410, output_tokens: 96}}]
"""


def main() -> None:
    """Run the job, serve its ledger, and write the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "spec.yaml").write_text(SPEC, "utf-8")
        (folder / "replies.yaml").write_text(REPLIES, "utf-8")
        run = ["run", "spec.yaml", "--provider", "replay", "-m", "gpt-4o-mini"]
        _orc(folder, *run, "--replies", "replies.yaml")
        time.sleep(2)
        _orc(folder, "approve", "latest", "sign_off")
        _orc(folder, "resume", "latest")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = subprocess.Popen([ORC, "browse", "--no-open", "--port", str(port)], cwd=folder)
        try:
            _take(f"http://127.0.0.1:{port}", folder)
        finally:
            server.terminate()
            server.wait(timeout=WAIT_S)


def _orc(folder: Path, *arguments: str) -> None:
    subprocess.run([ORC, *arguments], cwd=folder, check=False, timeout=WAIT_S)


def _take(address: str, folder: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while not _listens(address) and time.monotonic() < deadline:
        time.sleep(0.1)
    (job,) = (path.name for path in (folder / "runs").iterdir())
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIZE["width"], "height": SIZE["height"]})
        page.goto(f"{address}/-/orc/runs/{job}")
        page.screenshot(path=TARGET)
        browser.close()


def _listens(address: str) -> bool:
    port = int(address.rpartition(":")[2])
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
