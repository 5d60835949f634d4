"""Options and checkpoints of training runs that take moments."""

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
