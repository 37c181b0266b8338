"""Gathers the calls of steps into batches, submits them, and follows them to their results."""
