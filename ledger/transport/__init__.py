"""Bundles of single jobs, backups of whole ledgers, and the import of bundles."""
