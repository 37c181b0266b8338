"""Full-text search over prompts, replies and printed output, in an index beside the ledger."""
