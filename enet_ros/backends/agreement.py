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


def compare_with_torch(labels: np.ndarray, reference: np.ndarray) -> tuple[bool, str]:
    """Tell whether a network may stand in for torch, and say so in words.

    Args:
        labels: Class ids that it gives for a test frame, of any shape.
        reference: Those of torch, of the same shape.

    Returns:
        Whether enough pixels agree, and the sentence, which names what is wanted if they do not.
    """
    share = agreeing_share(labels, reference)
    text = f'labels agree with torch on {100 * share:.2f} % of a test frame'
    if share >= WANTED_AGREEMENT:
        return True, text
    return False, f'{text}, wanted {100 * WANTED_AGREEMENT:.0f} %'
