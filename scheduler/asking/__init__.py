"""What an attempt asks of a model: answers, with tools, and vectors of texts."""
