"""Other projects' weights, read without executing anything in them."""
