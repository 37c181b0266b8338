"""Scores, tags and notes on a terminal: tables, checks for CI, and lines of `orc show`."""
