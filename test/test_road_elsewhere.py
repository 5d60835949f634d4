"""The shipped weights on a motorway of another country, against outlines drawn by hand.

``pytest -s test/test_road_elsewhere.py`` prints the road's IoU.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from enet_ros.frames import read_frames
from enet_ros.segmenter import Segmenter

OUTLINES = json.loads((Path(__file__).parent / 'road_elsewhere.json').read_text())['frames']
ROAD, VOID = 1, 255
ROAD_ID = 3  # of CamVid


def truth(outlines, shape):
    """Return 1 for road, 0 for what is none, 255 for what does not count, (H, W) uint8."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.array(outlines['road'])], ROAD)
    for polygon in outlines['void']:
        cv2.fillPoly(mask, [np.array(polygon)], VOID)
    return mask


@pytest.mark.parametrize('resolution', [(640, 360), (640, 480)])
def test_the_road_of_a_motorway_in_another_country_is_whole(shared, resolution):
    segmenter = Segmenter.from_file(resolution=resolution)
    video = list(read_frames(shared / 'video' / 'solidWhiteRight.mp4'))
    intersection = union = 0
    for number, outlines in OUTLINES.items():
        frame = video[int(number)]
        wanted = truth(outlines, frame.shape[:2])
        found = (segmenter.segment([frame])[0].labels == ROAD_ID) & (wanted != VOID)
        intersection += np.count_nonzero(found & (wanted == ROAD))
        union += np.count_nonzero(found | (wanted == ROAD))
    print(f'road IoU at {resolution[0]}x{resolution[1]}: {intersection / union:.4f}')
    assert intersection / union > 0.98
