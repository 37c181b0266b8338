"""Pictures of a job, drawn here: its graph and its timeline, as SVG and as text.

Import its modules, not this package: each command loads what it draws, and no more.
"""
