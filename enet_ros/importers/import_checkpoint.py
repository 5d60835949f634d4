"""Weights of other projects, read without executing anything in them.

Two kinds of file can be read: the Torch7 model of ENet's authors, and checkpoints of
github.com/davidtvs/PyTorch-ENet.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from enet_ros.network.build import build_network
from enet_ros.network.checkpoint import MAX_BYTES, Checkpoint, CheckpointError, checked
from enet_ros.network.class_files import default_class_map
from enet_ros.network.class_map import ClassMap, ClassMapError

TORCH7_START = b'\x04\x00\x00\x00'  # the type number of an object
PICKLE_STARTS = (b'PK\x03\x04', b'\x80')


def import_checkpoint(path: str | Path, class_map: ClassMap | None = None) -> Checkpoint:
    """Read another project's weights.

    Both projects feed RGB/255, so mean is 0 and std is 1.

    Args:
        path: of the authors' Torch7 model, or of a PyTorch-ENet checkpoint.
        class_map: names of the classes; by default those of the data set with so many classes.

    Returns:
        A checkpoint in float32, whose network has the outputs of the original.

    Raises:
        CheckpointError: the file is unreadable, truncated, hostile or of another project, or its
            number of classes differs from the class map's. The message names the file.
    """
    path = Path(path)
    try:
        data = _read(path)
        fields = _torch7(data) if data.startswith(TORCH7_START) else _pytorch(data)
        checkpoint = Checkpoint(
            class_map=_fitting(class_map, fields.pop('count')), mean=(0., 0., 0.),
            std=(1., 1., 1.), origin=_origin(path, data), **fields)
        build_network(checked(checkpoint))
        return checkpoint
    except (CheckpointError, ClassMapError) as error:
        raise CheckpointError(f'{path}: {error}') from error


def _read(path: Path) -> bytes:
    """Read a file, if it begins like one of the two kinds."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise CheckpointError(f'{size} bytes, wanted at most {MAX_BYTES}')
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(error.strerror or str(error)) from error
    if not data.startswith((TORCH7_START, *PICKLE_STARTS)):
        raise CheckpointError(f'it begins with {data[:8]!r}, wanted a Torch7 binary file of the '
                              'ENet authors or a PyTorch-ENet checkpoint')
    return data


def _torch7(data: bytes) -> dict:
    from enet_ros.importers.torch7 import read_torch7
    from enet_ros.importers.torch7_enet import from_torch7
    tensors, count, activation = from_torch7(read_torch7(data))
    return {'tensors': tensors, 'count': count, 'decoder_activation': activation,
            'resolution': (1024, 512)}


def _pytorch(data: bytes) -> dict:
    from enet_ros.importers.pytorch_enet_weights import from_state_dict, read_state_dict
    tensors, count, activation = from_state_dict(read_state_dict(data))
    return {'tensors': tensors, 'count': count, 'decoder_activation': activation,
            'architecture': 'pytorch-enet',
            'resolution': (1024, 512) if count == 20 else (480, 360)}


def _fitting(class_map: ClassMap | None, count: int) -> ClassMap:
    """Return the class map, by default the one of the data set with so many classes."""
    class_map = class_map or default_class_map(count)
    if len(class_map) != count:
        raise CheckpointError(f'the network has {count} classes, the class file {len(class_map)}')
    return class_map


def _origin(path: Path, data: bytes) -> str:
    return (f'{path.name} (sha256 {hashlib.sha256(data).hexdigest()}) through enet-ros import; '
            "it keeps its source's terms. The ENet authors' model (e-lab/ENet-training) is "
            'CC BY-NC 4.0.')
