"""The shipped weights on a motorway of another country, against outlines drawn by hand.

``pytest -s test/models/test_road_elsewhere.py`` prints the road's IoU.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from enet_ros.media import read_frames
from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.perception.segmenter import Segmenter
from enet_ros.training.metrics import ConfusionMatrix

OUTLINES = json.loads((Path(__file__).parent / 'road_elsewhere.json').read_text())['frames']
NO_ROAD, ROAD, VOID = 0, 3, 255  # what is no road may be called anything else


def truth(outlines, shape):
    """Return ROAD, NO_ROAD or VOID, (H, W) uint8."""
    mask = np.full(shape, NO_ROAD, np.uint8)
    cv2.fillPoly(mask, [np.array(outlines['road'])], ROAD)
    for polygon in outlines['void']:
        cv2.fillPoly(mask, [np.array(polygon)], VOID)
    return mask


@pytest.mark.parametrize('resolution', [(640, 360), (640, 480)])
def test_the_road_of_a_motorway_in_another_country_is_whole(shared, resolution):
    checkpoint = read_checkpoint(weights_path(''))
    segmenter, matrix = Segmenter(checkpoint, resolution), ConfusionMatrix(checkpoint.class_map)
    for number, frame in enumerate(read_frames(shared / 'video' / 'solidWhiteRight.mp4')):
        if str(number) in OUTLINES:
            matrix.update(truth(OUTLINES[str(number)], frame.shape[:2]),
                          segmenter.segment([frame])[0].labels)
    iou = matrix.compute()['per_class']['Road']['iou']
    print(f'road IoU at {resolution[0]}x{resolution[1]}: {iou:.4f}')
    assert iou > 0.98
