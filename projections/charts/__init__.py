"""Charts of a project over its jobs, as SVG, with the numbers that they show as tables.

`project.py` reads the numbers, `charts.py` says which charts there are, `plot.py` draws them.
"""
