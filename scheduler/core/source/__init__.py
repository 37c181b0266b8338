"""Reads the YAML and JSON texts of people: plain values, and the line and column of each."""

from __future__ import annotations

SIZE_MAX = 16 * 1024 * 1024
"""The largest text that is parsed, in bytes."""
