"""Full-text search over prompts, replies and logs, with an index in a file beside the ledger."""
