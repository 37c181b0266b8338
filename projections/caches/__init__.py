"""Finds recorded replies and results in the ledger that can be used again."""
