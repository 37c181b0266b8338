"""The web pages of a ledger: its jobs, one job, a step, a file. Datasette serves them.

`home.py`, `job.py`, `step.py` and `file.py` read the values of a page, `render.py` fills the
template, `views.py` answers requests. Only the live updates and the slider need the script.
"""
