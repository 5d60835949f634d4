"""Weights in safetensors, with everything needed to use them in the metadata.

Nothing in a file is executed: safetensors holds a JSON header and plain numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from enet_ros.network.class_map import ClassMap, ClassMapError

MODELS = Path(__file__).resolve().parents[1] / 'models'
DEFAULT_WEIGHTS = 'enet_camvid'

FORMAT = 'enet_ros 1'
#: Networks that weights may be of, the values of metadata 'architecture'.
ARCHITECTURES = ('enet', 'pytorch-enet')
MAX_BYTES = 64 << 20  # ENet is 1.5 MB in float32; a file far larger is something else
#: Arrays of a file that hold a quantised graph: OpenVINO's two files, byte by byte.
INT8_ARRAYS = ('int8.openvino.xml', 'int8.openvino.bin')


class CheckpointError(ValueError):
    """A weights file that cannot be used; the message names the file and what is wrong."""


@dataclass(frozen=True)
class QuantizedGraph:
    """The frame graph in 8-bit integers, as OpenVINO describes it: data, not code.

    Attributes:
        xml, bin: content of the two files of OpenVINO's IR: the graph and its numbers.
        resolution: (width, height) in pixels, fixed in it.
        made_from: :meth:`Checkpoint.float_fingerprint` of the weights it was made from.
        frames: number of pictures it was calibrated on.
        versions: of the packages that made it, by name.
    """

    xml: bytes
    bin: bytes
    resolution: tuple[int, int]
    made_from: str
    frames: int = 0
    versions: dict[str, str] = field(default_factory=dict)


@dataclass
class Checkpoint:
    """Weights and what is known about them.

    Attributes:
        tensors: parameter name -> array, the keys of the architecture's network.
        class_map: names in id order, colours, which are drivable.
        mean, std: of RGB in [0, 1], a value a channel.
        resolution: (width, height) of the frames it was trained on.
        temperature: logits are divided by it before the softmax.
        decoder_activation: 'prelu' or 'relu'.
        architecture: 'enet', :class:`enet_ros.network.enet.ENet`, or 'pytorch-enet',
            :class:`enet_ros.network.pytorch_enet.PyTorchENet`, which imported weights may be of.
        scores: figures by name, as measured by whoever wrote the file.
        origin: where the weights come from and under which terms.
        int8: the frame graph quantised from these weights (docs/int8.md), or None.
    """

    tensors: dict[str, np.ndarray]
    class_map: ClassMap
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resolution: tuple[int, int] = (640, 360)
    temperature: float = 1.0
    decoder_activation: str = 'prelu'
    architecture: str = 'enet'
    scores: dict = field(default_factory=dict)
    origin: str = ''
    int8: QuantizedGraph | None = None

    def fingerprint(self) -> str:
        """Return a hash of all that the compiled network depends on."""
        floats = self.float_fingerprint()
        if self.int8 is None:
            return floats
        parts = [hashlib.sha256(part).hexdigest() for part in (self.int8.xml, self.int8.bin)]
        return hashlib.sha256(repr((floats, *parts, self.int8.resolution)).encode()).hexdigest()

    def float_fingerprint(self) -> str:
        """Return a hash of the weights and of what else a graph is made from."""
        digest = hashlib.sha256(repr((self.mean, self.std, self.temperature,
                                      self.decoder_activation, self.architecture)).encode())
        for name in sorted(self.tensors):
            array = np.ascontiguousarray(self.tensors[name])
            digest.update(f'{name}{array.shape}{array.dtype}'.encode())
            digest.update(array)
        return digest.hexdigest()


def weights_path(weights: str) -> Path:
    """Find a weights file by path, or by the name of one that ships with the package.

    Raises:
        CheckpointError: there is no such file; the message lists the names that ship.
    """
    path = Path(weights or DEFAULT_WEIGHTS).expanduser()
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
        path: of a file that :func:`write_checkpoint` wrote.

    Returns:
        The checkpoint; its arrays are float32 or float16, as in the file.

    Raises:
        CheckpointError: the file is missing, truncated, too large, no safetensors, without the
            metadata, or its metadata and arrays contradict each other.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise CheckpointError(f'{path}: {size} bytes, wanted at most {MAX_BYTES}')
        with safe_open(path, 'np') as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except OSError as error:
        raise CheckpointError(f'{path}: {error.strerror or error}') from error
    except (SafetensorError, TypeError, AttributeError, KeyError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f'{path}: not a readable safetensors file ({error}); the file may '
                              'be truncated, or of another format: see enet-ros import') from error
    try:
        return checked(_from_metadata(tensors, metadata))
    except (ClassMapError, CheckpointError) as error:
        raise CheckpointError(f'{path}: {error}') from error


def _json(metadata: dict[str, str], key: str, default=None):
    """Return one metadata value, parsed."""
    if key not in metadata:
        if default is None:
            raise CheckpointError(f"its metadata has no '{key}', so it was not written for "
                                  'enet_ros: see enet-ros import')
        return default
    try:
        return json.loads(metadata[key])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"its metadata '{key}' is no JSON: {error}") from error


def _numbers(metadata: dict[str, str], key: str, count: int, default=None) -> tuple:
    """Return a metadata list of ``count`` finite numbers."""
    value = _json(metadata, key, default)
    if (not isinstance(value, (list, tuple)) or len(value) != count
            or not all(type(v) in (int, float) and abs(v) < 1e300 for v in value)):
        raise CheckpointError(f"its metadata '{key}' is {str(value)[:80]}, "
                              f'wanted {count} finite numbers')
    return tuple(value)


def _class_map(metadata: dict[str, str]) -> ClassMap:
    """Read names, colours and which are drivable; the last two may be absent."""
    names = _json(metadata, 'classes')
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"its metadata 'classes' is {str(names)[:80]}, "
                              'wanted a list of names')
    drivable = _json(metadata, 'drivable', ['Road'])
    if not isinstance(drivable, list) or not all(isinstance(name, str) for name in drivable):
        raise CheckpointError(f"its metadata 'drivable' is {str(drivable)[:80]}, "
                              'wanted a list of names')
    class_map = ClassMap.from_names(names, drivable)
    if 'colors' not in metadata:
        return class_map
    colors = _json(metadata, 'colors')
    if not isinstance(colors, list) or not all(isinstance(color, list) for color in colors):
        raise CheckpointError(f"its metadata 'colors' is {str(colors)[:80]}, "
                              'wanted a list of [r, g, b]')
    return ClassMap(class_map.names, tuple(map(tuple, colors)), class_map.drivable).checked()


def _quantized(tensors: dict[str, np.ndarray],
               metadata: dict[str, str]) -> QuantizedGraph | None:
    """Take the quantised graph out of a file's arrays; None where there is none."""
    arrays = [tensors.pop(name, None) for name in INT8_ARRAYS]
    if 'int8_resolution' not in metadata and all(array is None for array in arrays):
        return None
    for name, array in zip(INT8_ARRAYS, arrays):
        if array is None or array.dtype != np.uint8 or array.ndim != 1:
            found = 'not there' if array is None else f'{array.dtype} of shape {array.shape}'
            raise CheckpointError(f"its int8 graph wants '{name}', uint8 in one row, "
                                  f'which is {found}')
    versions = _json(metadata, 'int8_versions', {})
    return QuantizedGraph(
        *(array.tobytes() for array in arrays),
        resolution=_numbers(metadata, 'int8_resolution', 2),
        made_from=metadata.get('int8_made_from', ''),
        frames=int(_numbers(metadata, 'int8_frames', 1, (0,))[0]),
        versions=versions if isinstance(versions, dict) else {})


def _from_metadata(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> Checkpoint:
    scores = _json(metadata, 'scores', {})
    temperature = _json(metadata, 'temperature', 1.0)
    if type(temperature) not in (int, float) or not 1e-3 < temperature < 1e3:
        raise CheckpointError(f"its metadata 'temperature' is {str(temperature)[:80]}, "
                              'wanted a number from 0.001 to 1000')
    int8 = _quantized(tensors, metadata)
    return Checkpoint(
        tensors=tensors, int8=int8, class_map=_class_map(metadata),
        mean=_numbers(metadata, 'mean', 3), std=_numbers(metadata, 'std', 3),
        resolution=tuple(int(v) for v in _numbers(metadata, 'resolution', 2, (640, 360))),
        temperature=float(temperature),
        decoder_activation=metadata.get('decoder_activation', 'prelu'),
        architecture=metadata.get('architecture', 'enet'),
        scores=scores if isinstance(scores, dict) else {}, origin=metadata.get('origin', ''))


def checked(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint itself, after checking what needs no network.

    Raises:
        CheckpointError: it contradicts itself, or holds values that nothing can be computed with.
    """
    if checkpoint.architecture not in ARCHITECTURES:
        raise CheckpointError(f"its metadata 'architecture' is '{checkpoint.architecture[:80]}', "
                              f'wanted one of {", ".join(ARCHITECTURES)}')
    if min(checkpoint.std) <= 0:
        raise CheckpointError(f"its metadata 'std' is {list(checkpoint.std)}, wanted all above 0")
    if checkpoint.decoder_activation not in ('prelu', 'relu'):
        raise CheckpointError(f"its metadata 'decoder_activation' is "
                              f"'{checkpoint.decoder_activation[:80]}', wanted prelu or relu")
    last = checkpoint.tensors.get('fullconv.weight')
    if last is None or last.ndim != 4:
        raise CheckpointError("it has no layer 'fullconv.weight', so it holds no ENet")
    if last.shape[1] != len(checkpoint.class_map):
        raise CheckpointError(f'its last layer has {last.shape[1]} classes and its metadata '
                              f'names {len(checkpoint.class_map)}')
    for name, array in checkpoint.tensors.items():
        if array.dtype not in (np.float32, np.float16):
            raise CheckpointError(f"'{name}' is {array.dtype}, wanted float32 or float16")
        if not np.isfinite(array).all():
            raise CheckpointError(f"'{name}' has values that are not finite")
        if name.endswith('running_var') and (array < 0).any():
            raise CheckpointError(f"'{name}' has a negative variance")
    if checkpoint.int8 is not None:
        _check_int8(checkpoint.int8, checkpoint.float_fingerprint())
    return checkpoint


def _check_int8(graph: QuantizedGraph, weights: str) -> None:
    """Check what needs no OpenVINO; whether it is a graph is seen when it is opened."""
    if any(type(v) is not int or v < 8 or v % 8 for v in graph.resolution):
        raise CheckpointError(f"its int8 graph is for {'x'.join(map(str, graph.resolution))}, "
                              'wanted width and height in multiples of 8')
    if not graph.xml.startswith(b'<?xml') or not graph.bin:
        raise CheckpointError("its int8 graph is no OpenVINO IR, wanted '<?xml' at the start of "
                              f'{INT8_ARRAYS[0]} and some bytes in {INT8_ARRAYS[1]}')
    if graph.made_from != weights:
        raise CheckpointError('its int8 graph was made from other weights than it holds; wanted '
                              'a file that enet-ros export --precision int8 wrote')


def write_checkpoint(path: str | os.PathLike, checkpoint: Checkpoint,
                     dtype: str = 'float16') -> None:
    """Write weights and metadata; the file appears whole or not at all.

    Args:
        path: its folder exists.
        checkpoint: ``num_batches_tracked`` counters are left out.
        dtype: 'float16' (0.75 MB) or 'float32'.

    Raises:
        CheckpointError: the checkpoint contradicts itself.
    """
    tensors = {name: np.ascontiguousarray(array, dtype=dtype)
               for name, array in checkpoint.tensors.items()
               if not name.endswith('num_batches_tracked')}
    class_map = checkpoint.class_map
    checked(Checkpoint(**{**vars(checkpoint), 'tensors': tensors}))
    metadata = {
        'format': FORMAT,
        'classes': json.dumps(list(class_map.names)),
        'colors': json.dumps([list(color) for color in class_map.colors]),
        'drivable': json.dumps(list(class_map.drivable_names)),
        'mean': json.dumps(list(checkpoint.mean)), 'std': json.dumps(list(checkpoint.std)),
        'resolution': json.dumps(list(checkpoint.resolution)),
        'temperature': json.dumps(checkpoint.temperature),
        'decoder_activation': checkpoint.decoder_activation,
        'architecture': checkpoint.architecture,
        'scores': json.dumps(checkpoint.scores), 'origin': checkpoint.origin,
    }
    if checkpoint.int8 is not None:
        tensors.update(_int8_arrays(checkpoint.int8))
        metadata.update(_int8_metadata(checkpoint.int8))
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    os.close(handle)
    try:
        save_file(tensors, temporary, metadata)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _int8_arrays(graph: QuantizedGraph) -> dict[str, np.ndarray]:
    return {name: np.frombuffer(content, np.uint8)
            for name, content in zip(INT8_ARRAYS, (graph.xml, graph.bin))}


def _int8_metadata(graph: QuantizedGraph) -> dict[str, str]:
    return {'int8_resolution': json.dumps(list(graph.resolution)),
            'int8_made_from': graph.made_from, 'int8_frames': json.dumps([graph.frames]),
            'int8_versions': json.dumps(graph.versions)}
