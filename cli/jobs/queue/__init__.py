"""The queue: which job a worker takes next, and the worker that runs the jobs it takes."""

JOBS_MAX = 100
"""The most jobs that a worker runs at the same time."""
