"""Measures what orc costs, and in the same run what it is compared with: `python -m benchmarks`."""
