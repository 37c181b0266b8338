"""A job in the formats that other programs read; each format is derived from the ledger.

No module here writes a file or reads the clock: the same ledger gives the same bytes.
"""
