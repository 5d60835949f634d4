"""Matplotlib as the images of a training use it: without a display, and with names as they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib

from enet_ros.common.one_line_error import in_one_line

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402  the backend must be chosen first

__all__ = ['literal', 'plt', 'warn_if_undrawn']


@contextmanager
def warn_if_undrawn(images: str, consequence: str) -> Iterator[None]:
    """Turn an error of drawing into a warning, since no image may cost a run.

    Args:
        images: Names of the images that are drawn.
        consequence: What goes on without them.
    """
    try:
        yield
    except Exception as error:  # of whatever kind
        print(f'warning: {images} could not be drawn: {in_one_line(str(error))}; {consequence}',
              file=sys.stderr)


def literal(name: str) -> str:
    """Return a name so that it is drawn as it is; Matplotlib reads ``$...$`` as a formula."""
    return name.replace('$', r'\$')
