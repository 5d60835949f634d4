"""The synthetic street with its exact labels."""
