"""Scores of jobs: their rows, groups with means and intervals, and comparisons of two jobs."""
