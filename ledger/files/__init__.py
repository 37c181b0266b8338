"""Files of a ledger on the disk: locks, atomic writes, and access that is confined to a folder."""
