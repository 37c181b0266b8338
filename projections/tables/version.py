"""The version of the read model, alone: commands that start fast read nothing else of it."""

VERSION = 6
"""Raised with every change of the tables, or of the rows that the same events give.

A ledger with tables of an older version derives them anew.
"""
