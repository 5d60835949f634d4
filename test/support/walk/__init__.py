"""A random walk through the life of one real node; see ``make walk`` and ``__main__.py``."""
