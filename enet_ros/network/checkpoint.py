"""Weights in safetensors, with everything needed to use them in the metadata.

Nothing in a file is executed: safetensors holds a JSON header and plain numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from enet_ros.common.one_line_error import printable
from enet_ros.common.whole_files import unfinished, write_whole
from enet_ros.network.class_map import ClassMap, ClassMapError
from enet_ros.network.metadata import (
    CheckpointError,
    read_dict,
    read_json,
    read_names,
    read_numbers,
)
from enet_ros.network.quantized import QuantizedGraph, take_quantized

MODELS = Path(__file__).resolve().parents[1] / 'models'
DEFAULT_WEIGHTS = 'enet_camvid'

FORMAT = 'enet_ros 1'
#: The networks that weights can belong to, as metadata 'architecture' names them.
ARCHITECTURES = ('enet', 'pytorch-enet')
#: Least and greatest size of the network, and least and greatest ratio of width to height, as a
#: share of those at which the weights were trained, where ``least_confidence`` holds. At 230,400
#: pixels each, enet_camvid has the limit 0.78 at 640x360, 0.72 at 480x480, 0.73 at 960x240, and
#: 0.66 at 360x640. Half and twice as many pixels give 0.81 and 0.73.
CONFIDENCE_SHARES = 0.5, 2.0
MAX_SIDE = 16_384  # pixels
MAX_BYTES = 64 << 20  # ENet is 1.5 MB in float32, so a far larger file is something else


@dataclass
class Checkpoint:
    """Weights and what is known about them.

    Attributes:
        tensors: float32 or float16 arrays by parameter name of the architecture's network.
        class_map: Names in id order, colors, and which classes are drivable.
        mean: Mean of each RGB channel, for values in [0, 1].
        std: Standard deviation of each RGB channel, for values in [0, 1].
        resolution: (width, height) in pixels of the frames it was trained on.
        temperature: Divisor of the logits before the softmax.
        least_confidence: Mean confidence below which a frame is unlike the training images
            (docs/suspect_frames.md), or 0 if it was not measured.
        decoder_activation: 'prelu' or 'relu'.
        architecture: 'enet' for :class:`enet_ros.network.enet.ENet`, or 'pytorch-enet' for
            :class:`enet_ros.network.pytorch_enet.PyTorchENet`, which imported weights can need.
        scores: Figures by name, as measured by the writer of the file.
        origin: Where the weights come from, and under which terms.
        sources: Names of all data sets that it was trained on, those of its start weights
            included; empty if they are not known.
        int8: The frame graph quantized from these weights (docs/int8.md), or None.
    """

    tensors: dict[str, np.ndarray]
    class_map: ClassMap
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resolution: tuple[int, int] = (640, 360)
    temperature: float = 1.0
    least_confidence: float = 0.0
    decoder_activation: str = 'prelu'
    architecture: str = 'enet'
    scores: dict = field(default_factory=dict)
    origin: str = ''
    sources: tuple[str, ...] = ()
    int8: QuantizedGraph | None = None

    def judges_confidence_at(self, resolution: Sequence[int]) -> bool:
        """Tell whether a network of (width, height) is near enough for ``least_confidence``."""
        (width, height), (trained_width, trained_height) = resolution, self.resolution
        shares = (width * height / (trained_width * trained_height),
                  width * trained_height / (height * trained_width))
        least, greatest = CONFIDENCE_SHARES
        return least <= min(shares) and max(shares) <= greatest

    def least_confidence_at(self, resolution: Sequence[int]) -> tuple[float, str]:
        """Return ``least_confidence`` as it holds at another resolution of the network.

        Args:
            resolution: (width, height) of the network.

        Returns:
            The limit, 0 if the confidence is not to be judged, and a sentence for the diagnostics.
        """
        if not self.least_confidence:
            return 0.0, 'off: the weights have no least_confidence; enet-ros calibrate writes it'
        if not self.judges_confidence_at(resolution):
            here, trained = ('x'.join(map(str, size)) for size in (resolution, self.resolution))
            return 0.0, f'off: least_confidence holds near {trained}, and the network has {here}'
        return self.least_confidence, f'on: at least {self.least_confidence:.2f}'

    def fingerprint(self) -> str:
        """Return a hash of everything that the compiled network depends on."""
        floats = self.float_fingerprint()
        if self.int8 is None:
            return floats
        parts = (floats, *self.int8.hashes(), self.int8.resolution)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def float_fingerprint(self) -> str:
        """Return a hash of the weights, their normalization, temperature and network."""
        digest = hashlib.sha256(repr((self.mean, self.std, self.temperature,
                                      self.decoder_activation, self.architecture)).encode())
        for name in sorted(self.tensors):
            array = np.ascontiguousarray(self.tensors[name])
            digest.update(f'{name}{array.shape}{array.dtype}'.encode())
            digest.update(array)
        return digest.hexdigest()


def weights_path(weights: str) -> Path:
    """Find a weights file.

    Args:
        weights: A path, or the name of weights that ship with the package. An empty text is the
            default weights.

    Raises:
        CheckpointError: There is no such file. The message lists the names that ship.
    """
    path = Path(os.path.expanduser(weights or DEFAULT_WEIGHTS))
    if path.is_file():
        return path
    shipped = MODELS / f'{path.name}.safetensors'
    if path.parent == Path('.') and shipped.is_file():
        return shipped
    names = ', '.join(sorted(p.stem for p in MODELS.glob('*.safetensors'))) or 'none'
    raise CheckpointError(f"weights '{weights}' not found, wanted the path of a .safetensors file "
                          f'or a name that ships: {names}')


def read_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Read weights and their metadata.

    Args:
        path: A file that :func:`write_checkpoint` wrote.

    Returns:
        The checkpoint. Its arrays are float32 or float16, as in the file.

    Raises:
        CheckpointError: The file is missing, truncated, too large, no safetensors, without the
            metadata, or its metadata and arrays contradict each other.
    """
    path = Path(path)
    tensors, metadata = _read_file(path)
    try:
        return checked(_from_metadata(tensors, metadata))
    except (ClassMapError, CheckpointError) as error:
        raise CheckpointError(f'{path}: {error}') from error


def _read_file(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays and the metadata of a safetensors file."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise CheckpointError(f'{path}: {size} bytes, wanted at most {MAX_BYTES}')
        with safe_open(path, 'np') as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f'{path}: {error.strerror or error}') from error
    except (SafetensorError, TypeError, AttributeError, KeyError, ValueError) as error:
        raise CheckpointError(f'{path}: not a readable safetensors file ({error}); the file may '
                              'be truncated, or of another format: see enet-ros import') from error


def _class_map(metadata: dict[str, str]) -> ClassMap:
    """Read the class map. Only its names must be in the metadata."""
    class_map = ClassMap.from_names(read_names(metadata, 'classes'),
                                    read_names(metadata, 'drivable', ['Road']))
    if 'colors' not in metadata:
        return class_map
    colors = read_json(metadata, 'colors')
    if not isinstance(colors, list) or not all(isinstance(color, list) for color in colors):
        raise CheckpointError(f"its metadata 'colors' is {str(colors)[:80]}, "
                              'wanted a list of [r, g, b]')
    return ClassMap(class_map.names, tuple(map(tuple, colors)), class_map.drivable).checked()


def _from_metadata(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> Checkpoint:
    temperature = read_json(metadata, 'temperature', 1.0)
    if type(temperature) not in (int, float) or not 1e-3 < temperature < 1e3:
        raise CheckpointError(f"its metadata 'temperature' is {str(temperature)[:80]}, "
                              'wanted a number from 0.001 to 1000')
    least_confidence = read_json(metadata, 'least_confidence', 0.0)
    if type(least_confidence) not in (int, float) or not 0.0 <= least_confidence < 1.0:
        raise CheckpointError(f"its metadata 'least_confidence' is {str(least_confidence)[:80]}, "
                              'wanted a number from 0 to 1')
    int8 = take_quantized(tensors, metadata)  # the other arrays are the weights
    return Checkpoint(
        tensors=tensors, int8=int8, class_map=_class_map(metadata),
        mean=read_numbers(metadata, 'mean', 3), std=read_numbers(metadata, 'std', 3),
        resolution=read_numbers(metadata, 'resolution', 2, (640, 360)),
        temperature=float(temperature), least_confidence=float(least_confidence),
        decoder_activation=metadata.get('decoder_activation', 'prelu'),
        architecture=metadata.get('architecture', 'enet'),
        scores=read_dict(metadata, 'scores'), origin=printable(metadata.get('origin', '')),
        sources=tuple(read_names(metadata, 'sources', [])))


def checked(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint itself, after every check that needs no network.

    Raises:
        CheckpointError: It contradicts itself, or holds values that nothing can be computed with.
    """
    _check_metadata(checkpoint)
    _check_last_layer(checkpoint)
    for name, array in checkpoint.tensors.items():
        _check_array(name, array)
    if checkpoint.int8 is not None:
        checkpoint.int8.check(checkpoint.float_fingerprint())
    return checkpoint


def _check_metadata(checkpoint: Checkpoint) -> None:
    if checkpoint.architecture not in ARCHITECTURES:
        raise CheckpointError(f"its metadata 'architecture' is '{checkpoint.architecture[:80]}', "
                              f'wanted one of {", ".join(ARCHITECTURES)}')
    if min(checkpoint.std) <= 0:
        raise CheckpointError(f"its metadata 'std' is {list(checkpoint.std)}, wanted all above 0")
    if not all(type(length) is int and 1 <= length <= MAX_SIDE
               for length in checkpoint.resolution):
        raise CheckpointError(f"its metadata 'resolution' is {list(checkpoint.resolution)}, "
                              f'wanted width and height in pixels, 1 to {MAX_SIDE}')
    if checkpoint.decoder_activation not in ('prelu', 'relu'):
        raise CheckpointError(f"its metadata 'decoder_activation' is "
                              f"'{checkpoint.decoder_activation[:80]}', wanted prelu or relu")


def _check_last_layer(checkpoint: Checkpoint) -> None:
    last = checkpoint.tensors.get('fullconv.weight')
    if last is None or last.ndim != 4:
        raise CheckpointError("it has no layer 'fullconv.weight', so it holds no ENet")
    if last.shape[1] != len(checkpoint.class_map):
        raise CheckpointError(f'its last layer has {last.shape[1]} classes and its metadata '
                              f'names {len(checkpoint.class_map)}')


def _check_array(name: str, array: np.ndarray) -> None:
    if array.dtype not in (np.float32, np.float16):
        raise CheckpointError(f"'{name}' is {array.dtype}, wanted float32 or float16")
    if not np.isfinite(array).all():
        raise CheckpointError(f"'{name}' has values that are not finite")
    if name.endswith('running_var') and (array < 0).any():
        raise CheckpointError(f"'{name}' has a negative variance")


def write_checkpoint(path: str | os.PathLike, checkpoint: Checkpoint,
                     dtype: str = 'float16') -> None:
    """Write weights and metadata. The file appears whole or not at all.

    Args:
        path: The file to write, in a folder that exists.
        checkpoint: Everything is written but the ``num_batches_tracked`` counters.
        dtype: 'float16' (0.79 MB) or 'float32'.

    Raises:
        CheckpointError: The checkpoint contradicts itself.
        OSError: The file cannot be written.
    """
    tensors = {name: np.ascontiguousarray(array, dtype=dtype)
               for name, array in checkpoint.tensors.items()
               if not name.endswith('num_batches_tracked')}
    checked(replace(checkpoint, tensors=tensors))
    metadata = _to_metadata(checkpoint)
    if checkpoint.int8 is not None:
        tensors |= checkpoint.int8.to_arrays()
        metadata |= checkpoint.int8.to_metadata()
    target = Path(os.path.realpath(path))  # a link stays one
    write_whole(target, save(tensors, metadata), unfinished(target))


def _to_metadata(checkpoint: Checkpoint) -> dict[str, str]:
    class_map = checkpoint.class_map
    return {
        'format': FORMAT,
        'classes': json.dumps(list(class_map.names)),
        'colors': json.dumps([list(color) for color in class_map.colors]),
        'drivable': json.dumps(list(class_map.drivable_names)),
        'mean': json.dumps(list(checkpoint.mean)), 'std': json.dumps(list(checkpoint.std)),
        'resolution': json.dumps(list(checkpoint.resolution)),
        'temperature': json.dumps(checkpoint.temperature),
        'least_confidence': json.dumps(checkpoint.least_confidence),
        'decoder_activation': checkpoint.decoder_activation,
        'architecture': checkpoint.architecture,
        'scores': json.dumps(checkpoint.scores), 'origin': printable(checkpoint.origin),
        'sources': json.dumps([printable(name) for name in checkpoint.sources]),
    }
