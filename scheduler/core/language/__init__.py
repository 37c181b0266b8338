"""The language of `${{ }}`: templates, their expressions and filters, and how they enter shell text."""
