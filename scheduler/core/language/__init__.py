"""The language of `${{ }}`: templates, their expressions and filters, and the bounds of values."""
