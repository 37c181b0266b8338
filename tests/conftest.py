"""The suite does not depend on what its caller hands down: settings of Python, ignored signals.

Python may keep the compiled modules, whatever the environment says.
The suite starts hundreds of interpreters. Where `PYTHONDONTWRITEBYTECODE` is set, as in many
container images, each of them would compile all of orc anew, and each worker of pytest would also
rewrite the assertions of every test module. The caches are in `__pycache__`, which git ignores.

Signals that a script in the background, or `nohup`, ignores would be ignored by orc, too.
"""

from __future__ import annotations

import os
import signal
import sys

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # for the workers and every process of a test
sys.dont_write_bytecode = False

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)
