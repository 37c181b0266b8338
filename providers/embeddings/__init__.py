"""Vectors of texts: the requests for them, their checks, and their form in replies."""
