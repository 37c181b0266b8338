"""The version of the read model. In a module of its own, since commands check it at each start."""

VERSION = 6
"""Raise it with every change of the tables, or of the rows that are derived from the same events.

A ledger with tables of another version gets new ones, derived from its events.
"""
