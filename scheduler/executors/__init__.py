"""Executors: where the commands and functions of steps run."""
