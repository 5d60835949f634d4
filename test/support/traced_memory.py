"""How much memory Python takes while something is refused."""

import tracemalloc
from contextlib import contextmanager


@contextmanager
def memory_below(most_bytes):
    """Check that what happens inside never holds as many bytes as that at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most_bytes
    finally:
        tracemalloc.stop()
