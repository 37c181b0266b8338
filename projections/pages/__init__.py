"""The web pages of a ledger: its jobs, one job, a step, a file. Datasette serves them.

`home.py`, `job.py`, `step.py` and `file.py` gather what a page shows, `render.py` makes
HTML of it, `views.py` answers requests. All of it works without a script but the live part.
"""
