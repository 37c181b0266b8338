"""The forms in which vectors are written to a file, by the end of its name."""

from __future__ import annotations

VECTOR_FILES = (".npy", ".json")


def vector_file_problem(path: str) -> str:
    """Why the file cannot hold vectors, by its name; empty if it can."""
    if path.lower().endswith(VECTOR_FILES):
        return ""
    ends = " or ".join(VECTOR_FILES)
    return f"vectors are written to a file whose name ends with {ends}; got {path[:200]!a}"
