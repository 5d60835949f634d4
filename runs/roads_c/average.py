"""Write the mean of two weights of one lineage: average.py A B OUT. What enet_camvid is made by."""

import sys
from dataclasses import replace

import numpy as np

from enet_ros.network.checkpoint import read_checkpoint, write_checkpoint

first, second = (read_checkpoint(path) for path in sys.argv[1:3])
tensors = {name: (np.float32(tensor) + np.float32(second.tensors[name])) / 2
           for name, tensor in first.tensors.items()}
origin = first.origin.replace('CamVid (research use)',
                              'CamVid with its validation frames (research use)')
write_checkpoint(sys.argv[3], replace(first, tensors=tensors, scores={}, origin=origin))
