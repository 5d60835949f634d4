"""JPEG files as cameras and bad links send them."""

from __future__ import annotations

import io
import re

import cv2
import numpy as np
import pytest


def jpeg(rgb, *, restart=0, sampling='420', quality=90, progressive=False):
    """Encode a frame, (H, W, 3) uint8 RGB or (H, W) gray."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    if sampling != '420':
        if not hasattr(cv2, 'IMWRITE_JPEG_SAMPLING_FACTOR'):  # as in Ubuntu 22.04 and 24.04
            return _without_opencv(rgb, sampling, quality, restart=restart,
                                   progressive=progressive)
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                    getattr(cv2, f'IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}')]
    if restart:
        options += [cv2.IMWRITE_JPEG_RST_INTERVAL, restart]
    return cv2.imencode('.jpg', rgb[..., ::-1] if rgb.ndim == 3 else rgb, options)[1].tobytes()


def _without_opencv(rgb, sampling, quality, *, restart, progressive):
    """Encode a frame of a sampling other than 4:2:0."""
    if restart or (progressive and sampling not in ('422', '444')):
        pytest.skip(f'nothing here writes a JPEG of {sampling} with restarts or progressive scans')
    if progressive or rgb.ndim == 2:
        from PIL import Image
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, 'JPEG', quality=quality, progressive=progressive,
                                  subsampling={'422': 1}.get(sampling, 0))
        return file.getvalue()
    import simplejpeg
    return simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), quality, colorsubsampling=sampling)


def scan_start(data):
    """Position of the first byte of the first scan."""
    at = data.index(b'\xff\xda')
    return at + 2 + int.from_bytes(data[at + 2:at + 4], 'big')


def with_extra_bytes(data, least, most, seed=0):
    """Put some bytes before each restart and end marker, as webcams do."""
    rng, start = np.random.default_rng(seed), scan_start(data)

    def extend(match):
        count = int(rng.integers(least, most + 1))
        return rng.integers(0, 255, count).astype(np.uint8).tobytes() + match[0]
    return data[:start] + re.sub(rb'\xff[\xd0-\xd7\xd9]', extend, data[start:])


def of_size(data, width, height):
    """Write another size into the frame header."""
    changed = bytearray(data)
    at = re.search(rb'\xff[\xc0-\xc2]\0', data).start()
    changed[at + 5:at + 9] = height.to_bytes(2, 'big') + width.to_bytes(2, 'big')
    return bytes(changed)
