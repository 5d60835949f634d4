"""The drawn street, rectified so that no raw pixel is lost: its borders are black."""

from __future__ import annotations

import cv2
import numpy as np

BARREL = np.array([-0.3, 0.09, 0.0, 0.0, 0.0])


def rectify(frame, camera):
    """Rectify a drawn frame as image_proc does with alpha 1.

    Returns:
        The rectified frame, the fields d, k and p of its camera info, and the pixels that are
        black for sure, (H, W) bool.
    """
    height, width = frame.shape[:2]
    k = np.array([[camera.fx * .7, 0, camera.cx], [0, camera.fy * .7, camera.cy], [0, 0, 1]])
    p, _ = cv2.getOptimalNewCameraMatrix(k, BARREL, (width, height), 1)
    x, y = cv2.initUndistortRectifyMap(k, BARREL, None, p, (width, height), cv2.CV_32FC1)
    black = (x < -2) | (x > width + 1) | (y < -2) | (y > height + 1)
    fields = {'d': BARREL, 'k': k.ravel(), 'p': np.hstack((p, np.zeros((3, 1)))).ravel()}
    return cv2.remap(frame, x, y, cv2.INTER_LINEAR), fields, black


def write_mask(path, unseen):
    """Write the file of a parameter ``valid_mask``, and return its path as text."""
    from enet_ros.media.images import write_image
    write_image(path, np.where(unseen, np.uint8(0), np.uint8(255)))
    return str(path)
