"""The hooks of jobs: the facts that they get, and their place in a run."""
