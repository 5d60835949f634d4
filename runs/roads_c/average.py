"""Write the mean of weights of one lineage: average.py OUT A B ...  What enet_camvid is made by."""

import sys
from dataclasses import replace

import numpy as np

from enet_ros.network.checkpoint import read_checkpoint, write_checkpoint

out, *paths = sys.argv[1:]
first, *others = (read_checkpoint(path) for path in paths)
tensors = {name: np.mean([np.float32(one.tensors[name]) for one in (first, *others)], axis=0)
           for name in first.tensors}
origin = first.origin.replace('CamVid (research use)',
                              'CamVid with its validation frames (research use)')
write_checkpoint(out, replace(first, tensors=tensors, scores={}, origin=origin))
