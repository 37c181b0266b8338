"""Clusters: what executors have, the commands of an engine with safe settings, certificates."""
