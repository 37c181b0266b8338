"""The pictures of a job: its graph and its timeline, as SVG and as text.

Import the modules, not this package, so that a command loads only what it draws.
"""
