"""Which relative paths a step may write: inside the folder, and valid on every file system.

Paths are checked when the spec is read, and again after rendering, because a template can insert
a model's text. The rules are those of the agent on a worker, which has nothing else of orc.
"""

from __future__ import annotations

from orc.worker.capture_rules import PART_BYTES_MAX, PATH_BYTES_MAX, path_problem

__all__ = ["PART_BYTES_MAX", "PATH_BYTES_MAX", "path_problem"]
