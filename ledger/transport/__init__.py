"""Jobs that travel: bundles, whole copies of a ledger, and what comes from elsewhere."""
