"""Real-time semantic segmentation with ENet, for cameras on robots."""

import os

# OpenCV's threads wait for more work in a busy loop: 1 ms after each resize, just when the network
# needs the cores. The library reads this when it is loaded.
os.environ.setdefault('OPENCV_THREAD_POOL_ACTIVE_WAIT_WORKER', '0')

__all__ = ['Segmenter']


def __getattr__(name: str):
    """Import the public name when it is first asked for: it loads OpenCV, and this must not."""
    if name in __all__:
        from enet_ros.perception.segmenter import Segmenter
        return Segmenter
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
