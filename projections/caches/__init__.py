"""Committed replies and results that can be used again."""
