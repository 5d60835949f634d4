"""Real-time semantic segmentation with ENet, for cameras on robots."""

import os

# OpenCV's threads wait for more work in a busy loop: 1 ms after each resize, just when the network
# needs the cores. The library reads this when it is loaded.
os.environ.setdefault('OPENCV_THREAD_POOL_ACTIVE_WAIT_WORKER', '0')
