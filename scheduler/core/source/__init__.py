"""Reads the YAML and JSON texts of people: plain values, and the line and column of each."""
