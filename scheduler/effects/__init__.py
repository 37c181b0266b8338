"""The effects of steps: model calls, commands and functions. Each takes a plain request."""
