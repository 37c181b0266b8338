"""Runs the hooks of a job: commands that tell others how a run of the job ended."""
