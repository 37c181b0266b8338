"""Deciding what runs next, and running it: the pure core, the trio runner, the effects."""
