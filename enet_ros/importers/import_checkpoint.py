"""Weights of other projects, read without executing anything in them.

Three kinds of file can be read: the Torch7 model of ENet's authors, checkpoints of
github.com/davidtvs/PyTorch-ENet as torch.save writes them, and such tensors in safetensors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from enet_ros.network.build import build_network
from enet_ros.network.checkpoint import MAX_BYTES, Checkpoint, CheckpointError, checked
from enet_ros.network.class_files import default_class_map
from enet_ros.network.class_map import ClassMap, ClassMapError

TORCH7_START = b'\x04\x00\x00\x00'  # the type number of an object
PICKLE_STARTS = (b'PK\x03\x04', b'\x80')

#: What is found in the place of a checkpoint when a download or a checkout went wrong.
WRONG_STARTS = ((b'<', 'it is a web page, so the download was not the file itself'),
                (b'version https://git-lfs', "it is a Git LFS pointer; fetch the file itself with "
                                             "'git lfs pull'"))


def import_checkpoint(path: str | Path, class_map: ClassMap | None = None,
                      note: Callable[[str], None] | None = None) -> Checkpoint:
    """Read another project's weights.

    Both projects feed RGB/255, so mean is 0 and std is 1.

    Args:
        path: Path of the authors' Torch7 model, or of a PyTorch-ENet checkpoint.
        class_map: Names of the classes; by default those of the data set with so many classes.
        note: Called with a sentence about what the file holds and the checkpoint does not.

    Returns:
        A checkpoint in float32, whose network has the outputs of the original.

    Raises:
        CheckpointError: The file is unreadable, truncated, hostile or of another project, or its
            number of classes differs from the class map's. The message names the file.
    """
    path = Path(path)
    try:
        data = _read(path)
        fields = _torch7(data) if data.startswith(TORCH7_START) else _pytorch(data, note)
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
    if not data.startswith((TORCH7_START, *PICKLE_STARTS)) and not _is_safetensors(data):
        raise CheckpointError(_describe_start(data))
    return data


def _is_safetensors(data: bytes) -> bool:
    """Tell whether a file begins as safetensors: with the length of a header in JSON."""
    return data[8:9] == b'{' and int.from_bytes(data[:8], 'little') < len(data)


def _describe_start(data: bytes) -> str:
    """Say what a file is that was taken for a checkpoint, by its first bytes."""
    if not data:
        return 'it is empty'
    start = data[:64].lstrip().lower()
    for prefix, text in WRONG_STARTS:
        if start.startswith(prefix):
            return text
    return (f'it begins with {data[:8]!r}, wanted a Torch7 binary file of the ENet authors or a '
            'PyTorch-ENet checkpoint')


def _torch7(data: bytes) -> dict:
    from enet_ros.importers.torch7 import read_torch7
    from enet_ros.importers.torch7_enet import from_torch7
    tensors, count, activation = from_torch7(read_torch7(data))
    return {'tensors': tensors, 'count': count, 'decoder_activation': activation,
            'resolution': (1024, 512)}


def _pytorch(data: bytes, note: Callable[[str], None] | None) -> dict:
    from enet_ros.importers.pickled_tensors import load_pickled
    from enet_ros.importers.pytorch_enet_weights import from_state_dict
    from enet_ros.importers.state_dicts import find_network
    network = find_network(_safetensors(data) if _is_safetensors(data) else load_pickled(data))
    if note and network.left_out:
        count = len(network.left_out)
        entries = '1 entry' if count == 1 else f'{count} entries'
        note(f'left out {entries} beside the network: {shortened(network.left_out)}')
    tensors, count, activation = from_state_dict(network.tensors)
    return {'tensors': tensors, 'count': count, 'decoder_activation': activation,
            'architecture': 'pytorch-enet',
            'resolution': (1024, 512) if count == 20 else (480, 360)}


def shortened(names: Sequence[str], shown: int = 5) -> str:
    """Join the first of many names."""
    rest = f' and {len(names) - shown} more' if len(names) > shown else ''
    return ', '.join(name[:80] for name in names[:shown]) + rest


def _safetensors(data: bytes) -> dict:
    """Return the tensors of a safetensors file.

    Raises:
        CheckpointError: It is damaged, or holds weights of this project.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise CheckpointError(f'it is a damaged safetensors file: {error}') from error
    if 'fullconv.weight' in tensors:
        raise CheckpointError('it holds weights of enet_ros already; give it the ending '
                              '.safetensors and use it as it is')
    return tensors


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
