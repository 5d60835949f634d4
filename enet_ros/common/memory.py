"""Errors of a machine or a process whose memory has run out."""

from __future__ import annotations

ADVICE = ('end other programs, take a smaller resolution, or raise the memory limit of this '
          'process (ulimit -v, the container, the service)')
#: What the loader of shared libraries and the kernel say of it.
_TEXTS = ('failed to map segment from shared object', 'Cannot allocate memory')


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error is one of memory that has run out."""
    return isinstance(error, MemoryError) or any(text in str(error) for text in _TEXTS)


def explain(error: BaseException) -> str:
    """Return the text of an error, with what to do where memory has run out."""
    if not is_out_of_memory(error):
        return str(error)
    return f'{str(error) or "no memory is left"}; {ADVICE}'
