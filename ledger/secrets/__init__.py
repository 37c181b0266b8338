"""Secrets: finds their values in every spelling, and replaces them."""
