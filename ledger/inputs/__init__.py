"""Inputs of jobs that are files and tables: what the ledger records of them."""
