"""Asks the questions of a job on the terminal, while the job runs: `--interactive`."""
