"""The agent runs where nothing else of orc is, and no package but Python itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import orc.worker
from tests.worker.engine import payload

PROGRAM = """
import json, sys, threading
sys.path.insert(0, sys.argv[1])
import orc.worker
before = sorted(name for name in sys.modules if name.startswith("orc"))
message = json.loads(sys.argv[2])
names = {"ticket": message["ticket"], "run": message["run"]}
events, asked = [], threading.Event()
def emit(event):
    events.append(event)
    asked.set()
orc.worker.set_alive(lambda: True)
copy = threading.Thread(
    target=orc.worker.perform,
    args=(json.dumps(message).encode(),),
    kwargs={"emit": emit, "worker": "w1", "host": "h1"},
)
copy.start()
assert asked.wait(10)
assert orc.worker.control({"op": "census", "job_id": "job_a"})["copies"]
allowed = orc.worker.control({"op": "allow", **names, "epoch": 1, "secrets": {}})
assert allowed["ok"], allowed
copy.join(20)
print(json.dumps({
    "before": before,
    "outcome": orc.worker.control({"op": "outcome", **names})["outcome"],
    "paths": sorted({getattr(m, "__file__", None) or "" for m in list(sys.modules.values())}),
}))
orc.worker.control({"op": "forget", **names})
"""


def perform_alone(folder: Path, work: Mapping[str, object]) -> dict[str, object]:
    """Perform a copy in a Python without site packages that finds `orc/worker/` alone."""
    (folder / "orc").mkdir()
    (folder / "orc" / "__init__.py").touch()
    shutil.copytree(
        Path(orc.worker.__file__).parent,
        folder / "orc" / "worker",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    message = json.dumps(payload(run="00000001", **work))  # type: ignore[arg-type]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(folder), message],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "ORC_WORKER_DIR": str(folder / "spools")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    ours = str(folder)
    library = os.path.dirname(os.__file__)
    for path in found["paths"]:
        assert not path or path.startswith((ours, library)), path
        assert "site-packages" not in path
    return dict(found)


def test_a_command_is_performed_without_the_rest_of_orc(tmp_path: Path) -> None:
    found = perform_alone(
        tmp_path,
        {"argv": ["sh", "-c", "echo x > a.txt"], "globs": [{"glob": "*", "required": "no"}]},
    )
    # Importing the package alone loads nothing of the agent.
    assert found["before"] == ["orc", "orc.worker"]
    outcome = found["outcome"]
    assert isinstance(outcome, dict)
    assert outcome["exit_code"] == 0
    assert [file["path"] for file in outcome["files"]] == ["a.txt"]


def test_a_function_is_called_without_the_rest_of_orc(tmp_path: Path) -> None:
    work = {"kind": "function", "function": "math:isqrt", "args": {}}
    outcome = perform_alone(tmp_path, work)["outcome"]
    assert isinstance(outcome, dict)
    assert outcome["exit_code"] == 0


def test_the_whole_package_imports_the_agent_without_its_dependencies() -> None:
    root = Path(__file__).parents[2]
    program = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import orc.worker.agent; "
        "assert not {'pydantic', 'trio', 'orc.ledger', 'orc.scheduler'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_worker_with_a_wrong_setting_says_so(tmp_path: Path) -> None:
    program = "import orc.worker, json; print(json.dumps(orc.worker.control({'op': 'census'})))"
    for settings, said in (
        ({"ORC_WORKER_CACHE": "much"}, "ORC_WORKER_CACHE must be a size"),
        ({"ORC_WORKER_DIR": "/proc/none"}, "No such file"),
    ):
        environ = {**os.environ, "ORC_WORKER_DIR": str(tmp_path), **settings}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environ
        )
        answer = json.loads(done.stdout)
        assert (answer["ok"], answer["error"]) == (False, "environment")
        assert said in answer["message"]
