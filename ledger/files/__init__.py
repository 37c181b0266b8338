"""Files of a ledger on the disk: who could change them, locks, atomic writes, confined access."""
