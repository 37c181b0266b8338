"""What orc costs, measured beside what it is compared to, in one run: `python -m benchmarks`."""
