"""The recorded form of named servers."""
