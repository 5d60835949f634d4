#!/usr/bin/env python3
"""Print how many samples a second one core loads and augments, from frames in memory.

    scripts/bench_augmentation.py ROOT [--steps 75]     # ROOT: CamVid

Run it alone: another busy process changes the figures. docs/training.md holds them.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice

import cv2
import torch

from enet_ros.training.batches import (
    BatchAugmentation,
    Frames,
    StepSampler,
    TrainingSet,
    training_loader,
)
from enet_ros.training.datasets import open_dataset
from enet_ros.training.geometric import CROPS, WHOLE_FRAMES

RESOLUTION, BATCH = (480, 360), 8
CASES = (('whole frames', RESOLUTION, WHOLE_FRAMES), ('crops', RESOLUTION, CROPS),
         ('crops', (320, 240), CROPS))


def samples_per_second(data: TrainingSet, augmentation: BatchAugmentation, steps: int) -> float:
    """Load batches in this process, after one to warm up."""
    sampler = StepSampler(0, BATCH, 0, lambda step: augmentation)
    batches = iter(training_loader(data, sampler, workers=0))
    next(batches)
    start = time.perf_counter()
    for _ in islice(batches, steps):
        pass
    return steps * BATCH / (time.perf_counter() - start)


def main() -> None:
    """Measure and print each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('root', metavar='ROOT', help='folder of CamVid')
    parser.add_argument('--steps', type=int, default=75, metavar='N',
                        help='number of batches of 8 (default: 75)')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    data = TrainingSet(Frames(open_dataset('camvid', args.root, 'train')), None, 0, BATCH)
    for name, size, geometry in CASES:
        speed = samples_per_second(data, BatchAugmentation(size, RESOLUTION, geometry, 1.0),
                                   args.steps)
        print(f'{name} at {size[0]}x{size[1]}: {speed:.0f} samples a second')


if __name__ == '__main__':
    main()
