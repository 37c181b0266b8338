"""Batches of requests at half the price: submission, state and results, for APIs that have them."""
