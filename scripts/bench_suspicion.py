"""Measure what it costs to judge a frame: ``python scripts/bench_suspicion.py``."""

import time

import numpy as np

from enet_ros.perception.encodings import RawImage
from enet_ros.perception.segmenter import Segmentation
from enet_ros.perception.suspicion import FrameJudge, sampled_rows
from enet_ros.scene.frames import street_frames

SIZE, REPEATS = (640, 360), 500


def measure(name, step):
    """Print the median and the 95th percentile of a step, in milliseconds."""
    times = []
    for index in range(REPEATS):
        start = time.perf_counter()
        step(index)
        times.append((time.perf_counter() - start) * 1e3)
    print(f'{name:<36}{np.median(times):>8.4f} ms{np.percentile(times, 95):>8.4f} ms')


def main():
    """Measure on frames of the synthetic street."""
    frames, rows = street_frames(SIZE, 9), sampled_rows(SIZE[1])
    samples = [frame[rows].copy() for frame in frames]
    plain = Segmentation(np.zeros(SIZE[::-1], np.uint8))
    sure = Segmentation(plain.labels, np.full(SIZE[::-1], 0.9, np.float32))
    small = RawImage(frames[0], None)
    large = RawImage(np.zeros((1080, 1920, 3), np.uint8), None)
    judge = FrameJudge(0.7)
    print(f'{"":<36}{"median":>11}{"95 %":>11}')
    measure('copy of the sampled rows', lambda index: frames[index % 9][rows].copy())
    measure('judgement',
            lambda index: judge.judge(samples[index % 9], plain, small, index, 5.0))
    measure('judgement with a look',
            lambda index: judge.judge(samples[index % 9], sure, small, 2.0 * index, 5.0))
    measure('judgement of the same frame again, 1080p',
            lambda index: judge.judge(samples[0], plain, large, 0.0, 5.0))


if __name__ == '__main__':
    main()
