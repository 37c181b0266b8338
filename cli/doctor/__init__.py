"""`orc doctor`: versions, the ledger, prices, providers, processes that escaped."""
