"""Samples and batches: who gets which, in which type and memory order."""

import multiprocessing
from types import SimpleNamespace

import numpy as np
import pytest
from support.training_runs import SIZE, check_batches

torch = pytest.importorskip('torch')

from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.training.batches import (  # noqa: E402
    MAX_WORKERS,
    BatchAugmentation,
    Frames,
    StepSampler,
    SyntheticFrames,
    default_workers,
)


def test_processes_share_the_samples_of_a_step():
    def keys(rank):
        return next(iter(StepSampler(7, 4, rank, lambda step: BatchAugmentation((32, 32), SIZE))))
    assert [key[1] for rank in (0, 1) for key in keys(rank)] == list(range(8))
    assert {key[0] for key in keys(0)} == {7}


def test_synthetic_frames_have_the_ids_of_the_data_set():
    synthetic = SyntheticFrames(ClassMap.from_names(['car', 'road'], ['road']), SIZE)
    frame, labels = synthetic[3]
    assert frame.shape == (SIZE[1], SIZE[0], 3)
    assert set(np.unique(labels)) <= {0, 1, 255}
    assert (labels == 1).mean() > 0.1
    assert synthetic[3][0] is frame


def test_synthetic_frames_are_kept_in_all_loading_processes_as_far_as_they_fit(monkeypatch):
    scene_bytes = 4 * SIZE[0] * SIZE[1]
    monkeypatch.setattr('enet_ros.training.batches.MAX_CACHED_BYTES', 5 * scene_bytes)
    monkeypatch.setattr('enet_ros.training.batches.get_worker_info',
                        lambda: SimpleNamespace(num_workers=2))
    synthetic = SyntheticFrames(ClassMap.from_names(['car', 'road'], ['road']), SIZE)
    first = [synthetic[index] for index in range(4)]
    assert sorted(synthetic.rendered) == [0, 1]
    assert synthetic[1][0] is first[1][0]
    assert np.array_equal(synthetic[3][0], first[3][0])  # drawn anew, and the same


@pytest.mark.parametrize(('sides', 'kept'), [
    ((8, 8, 8), 3), ((8, 64, 8), None), ((64, 8, 8), None), ((8, 9, 8), 3)])
def test_frames_are_kept_where_all_of_them_fit_in_memory(monkeypatch, sides, kept):
    class Split(list):
        def read(self, index):
            return self[index]
    split = Split((np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.uint8))
                  for side in sides)
    monkeypatch.setattr('enet_ros.training.batches.MAX_CACHED_BYTES', 4 * (2 * 8 * 8 + 9 * 9))
    cached = Frames(split).cached
    assert (cached and len(cached)) == kept


@pytest.mark.parametrize('workers', [0, 1])
def test_batches_are_bytes_in_channels_last_memory(tree, workers):
    """In a process of its own: a loader forks, and threads of other tests would be lost in it."""
    process = multiprocessing.get_context('spawn').Process(
        target=check_batches, args=(str(tree), workers))
    process.start()
    process.join(60.0)
    assert process.exitcode == 0


def test_workers_come_from_the_cores_when_a_gpu_trains(monkeypatch):
    def workers(cores, **options):
        monkeypatch.setattr('os.sched_getaffinity', lambda process: set(range(cores)))
        return default_workers(**options)
    assert workers(16, on_gpu=False) == 0
    assert workers(8, on_gpu=True) == 7
    assert workers(1, on_gpu=True) == 1
    assert workers(16, on_gpu=True, processes=4) == 3
    assert workers(96, on_gpu=True) == MAX_WORKERS
