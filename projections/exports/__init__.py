"""A job in the forms that other programs read: one file a form, all of them folds of the ledger.

Nothing here writes a file or knows the time: the same ledger gives the same bytes.
"""
