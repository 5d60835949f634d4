"""The drawn street with its exact truth."""
