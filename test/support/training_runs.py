"""Options and checkpoints of training runs that take moments."""

import multiprocessing
from pathlib import Path

SIZE = (48, 32)


def run_options(tree, out, **changes):
    """Return options for six steps on a data set of pairs of folders."""
    from enet_ros.training.options import TrainOptions
    return TrainOptions(**{
        'dataset': 'folders', 'root': str(tree), 'out': str(out), 'steps': 6, 'batch_size': 2,
        'crop': (32, 32), 'resolution': SIZE, 'val_every': 3, 'save_every': 2, 'seed': 5,
        **changes})


def read_state(run, name='last.ckpt'):
    """Read a checkpoint of Lightning's from the folder of a run."""
    import torch
    return torch.load(Path(run) / name, weights_only=True)


def check_batches(tree, workers):
    """Check type, memory order and content of a loader's first batch (in a process of its own)."""
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
    multiprocessing.set_start_method('forkserver', force=True)  # the default of Python 3.14
    cv2.setNumThreads(1)  # as training does: a fork does not inherit OpenCV's threads
    data = TrainingSet(Frames(open_dataset('folders', Path(tree), 'train')), None, 5, 4)
    augmentation = BatchAugmentation((32, 24), SIZE)
    loader = training_loader(data, StepSampler(3, 4, 0, lambda step: augmentation), workers)
    frames, labels = next(iter(loader))
    assert frames.shape == (4, 3, 24, 32)
    assert frames.dtype == labels.dtype == torch.uint8
    assert frames.is_contiguous(memory_format=torch.channels_last)
    for slot in range(4):
        frame, truth = data[3, slot, augmentation]
        assert torch.equal(frames[slot], frame)
        assert torch.equal(labels[slot], truth)
