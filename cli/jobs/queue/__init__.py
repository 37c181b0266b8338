"""The queue: which job a worker takes next, and the worker that runs the jobs it takes."""
