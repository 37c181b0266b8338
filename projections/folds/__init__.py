"""Folds of events that several projections share: owned files, and calls in doubt."""
