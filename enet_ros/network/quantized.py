"""The frame graph in 8-bit integers that a checkpoint may carry (docs/int8.md)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

import numpy as np

from enet_ros.network.metadata import CheckpointError, read_dict, read_numbers
from enet_ros.network.resolution import STRIDE

#: Arrays of a weights file that hold the two files of OpenVINO's IR, byte by byte.
INT8_ARRAYS = ('int8.openvino.xml', 'int8.openvino.bin')


@dataclass(frozen=True)
class QuantizedGraph:
    """The frame graph in 8-bit integers, as OpenVINO describes it: data, not code.

    Attributes:
        xml: Content of the IR's text file, which describes the graph.
        bin: Content of the IR's binary file, which holds the graph's numbers.
        resolution: (width, height) of the frames in pixels. The graph takes no others.
        made_from: ``Checkpoint.float_fingerprint()`` of the weights it was made from.
        frames: Number of images it was calibrated on.
        versions: Versions of the packages that made it, by package name.
    """

    xml: bytes
    bin: bytes
    resolution: tuple[int, int]
    made_from: str
    frames: int = 0
    versions: dict[str, str] = field(default_factory=dict)

    def hashes(self) -> tuple[str, str]:
        """Return the SHA-256 of both files."""
        return hashlib.sha256(self.xml).hexdigest(), hashlib.sha256(self.bin).hexdigest()

    def check(self, weights: str) -> None:
        """Check everything that needs no OpenVINO. Whether it is a graph shows when it is opened.

        Args:
            weights: The float fingerprint of the weights beside it.

        Raises:
            CheckpointError: The graph cannot be one, or it belongs to other weights.
        """
        if any(type(v) is not int or v < STRIDE or v % STRIDE for v in self.resolution):
            raise CheckpointError(f'its int8 graph is for {"x".join(map(str, self.resolution))}, '
                                  f'wanted width and height in multiples of {STRIDE}')
        if not self.xml.startswith(b'<?xml') or not self.bin:
            raise CheckpointError("its int8 graph is no OpenVINO IR, wanted '<?xml' at the start "
                                  f'of {INT8_ARRAYS[0]} and some bytes in {INT8_ARRAYS[1]}')
        if self.made_from != weights:
            raise CheckpointError('its int8 graph was made from other weights than it holds; '
                                  'wanted a file that enet-ros export --precision int8 wrote')

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of a weights file that hold the graph, (N,) uint8 each, by name."""
        return {name: np.frombuffer(content, np.uint8)
                for name, content in zip(INT8_ARRAYS, (self.xml, self.bin))}

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata of a weights file that go with the arrays."""
        return {'int8_resolution': json.dumps(list(self.resolution)),
                'int8_made_from': self.made_from, 'int8_frames': json.dumps([self.frames]),
                'int8_versions': json.dumps(self.versions)}


def take_quantized(tensors: dict[str, np.ndarray],
                   metadata: dict[str, str]) -> QuantizedGraph | None:
    """Take the quantized graph out of the arrays of a weights file.

    Args:
        tensors: All arrays of the file. Those of the graph are removed.
        metadata: The file's metadata.

    Returns:
        The graph, or None if the file has none.

    Raises:
        CheckpointError: A part of the graph is missing or of another type.
    """
    arrays = [tensors.pop(name, None) for name in INT8_ARRAYS]
    if 'int8_resolution' not in metadata and all(array is None for array in arrays):
        return None
    for name, array in zip(INT8_ARRAYS, arrays):
        if array is None or array.dtype != np.uint8 or array.ndim != 1:
            state = 'not there' if array is None else f'{array.dtype} of shape {array.shape}'
            raise CheckpointError(f"its int8 graph wants '{name}', uint8 in one row, "
                                  f'which is {state}')
    return QuantizedGraph(
        *(array.tobytes() for array in arrays),
        resolution=read_numbers(metadata, 'int8_resolution', 2),
        made_from=metadata.get('int8_made_from', ''),
        frames=int(read_numbers(metadata, 'int8_frames', 1, (0,))[0]),
        versions=read_dict(metadata, 'int8_versions'))
