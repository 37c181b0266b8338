"""What the ledger has, in full: a step with its texts, files in their forms, tables, a pager."""
