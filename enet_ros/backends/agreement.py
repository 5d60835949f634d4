"""How well the labels of a compiled network agree with those of torch."""

from __future__ import annotations

import numpy as np

WANTED_AGREEMENT = 0.99  # share of a test frame's pixels on which an engine and torch must agree


def agreeing_share(labels: np.ndarray, reference: np.ndarray) -> float:
    """Return the share of pixels that have the same label, in [0, 1].

    Args:
        labels: Class ids, of any shape.
        reference: Class ids of the same shape.
    """
    return float(np.mean(labels == reference))
