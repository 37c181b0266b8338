"""The checks of `orc doctor`: versions, the ledger, prices, providers, leftover processes and files."""
