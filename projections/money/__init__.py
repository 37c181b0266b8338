"""What calls cost: prices and sums. `ledger/wording.py` words a cost."""
