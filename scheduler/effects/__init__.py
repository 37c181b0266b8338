"""What the steps do: one module a kind, each a function of a plain request."""
