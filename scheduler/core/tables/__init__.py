"""Parses tables: the bytes of a CSV, TSV, JSON, JSONL or YAML file as rows, which are mappings."""
