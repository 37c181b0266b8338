"""Python may keep the compiled modules, whatever the environment says.

The suite starts hundreds of interpreters. Where `PYTHONDONTWRITEBYTECODE` is set, as in many
container images, each of them would compile all of orc anew, and each worker of pytest would also
rewrite the assertions of every test module. The caches are in `__pycache__`, which git ignores.
"""

from __future__ import annotations

import os
import sys

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # for the workers and every process of a test
sys.dont_write_bytecode = False
