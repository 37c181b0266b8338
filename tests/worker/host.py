"""A worker process of a fake engine, which a test can stop and kill.

It reads lines of JSON: `{"perform": payload}` performs a copy in a thread, `{"control": request}`
asks the agent, `{"alive": bool}` says whether the worker is part of the cluster. It prints events
and answers as lines.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import orc.worker

_lock = threading.Lock()


def say(value: dict[str, Any]) -> None:
    with _lock:
        sys.stdout.write(json.dumps(value, default=repr) + "\n")
        sys.stdout.flush()


def perform(payload: dict[str, Any]) -> None:
    orc.worker.perform(json.dumps(payload).encode(), emit=say, worker="w1", host="h1")
    say({"event": "returned", "ticket": payload["ticket"], "run": payload["run"]})


def main() -> None:
    state = {"alive": True}
    orc.worker.set_alive(lambda: state["alive"])
    say({"event": "ready", "pid": os.getpid()})
    for line in sys.stdin:
        message = json.loads(line)
        if "perform" in message:
            threading.Thread(target=perform, args=(message["perform"],), daemon=True).start()
        elif "control" in message:
            say({"answer": orc.worker.control(message["control"])})
        else:
            state["alive"] = message["alive"]


if __name__ == "__main__":
    main()
