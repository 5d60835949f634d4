"""Matplotlib as the images of a training use it: without a display, and with names as they are."""

from __future__ import annotations

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402  the backend must be chosen first

__all__ = ['literal', 'plt']


def literal(name: str) -> str:
    """Return a name so that it is drawn as it is; Matplotlib reads ``$...$`` as a formula."""
    return name.replace('$', r'\$')
