"""A forward for one release: ``from enet_ros import Segmenter`` is the public import."""

import warnings

from enet_ros.perception.segmenter import (
    Segmentation,
    Segmenter,
    check_frame,
    check_resolution,
)

__all__ = ['Segmentation', 'Segmenter', 'check_frame', 'check_resolution']

warnings.warn('enet_ros.segmenter has moved to enet_ros.perception.segmenter; for the public name '
              'write: from enet_ros import Segmenter', DeprecationWarning, stacklevel=2)
