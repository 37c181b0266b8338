"""The names that templates know: roots, and the fields of steps, rounds and items."""

from __future__ import annotations

STEP_FIELDS = ("output", "status", "error", "files", "attempts", "items")
LOOP_FIELDS = ("index", "previous")
ROUND = "loop"
"""The name under which a step reads its round."""
EACH = "each"
"""The name under which an item reads its place among the others; an item of that name hides it."""
EACH_FIELDS = ("index", "key", "first", "last")
ROOTS = ("project", "task_description", "inputs", "steps", "env", "job")
"""The roots that every text may use; each means the same for all items and rounds of a step."""
