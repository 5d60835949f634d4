"""Two weights, precisions or settings on one recording."""
