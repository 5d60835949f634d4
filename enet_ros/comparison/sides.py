"""The two sides of a comparison: weights, a precision of weights, or a parameter file."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from enet_ros.backends.base import PRECISION_NAMES, PRECISIONS, canonical_precision
from enet_ros.comparison.frames import RecordedFrame
from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.network.class_map import ClassMap
from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.encodings import BitDepth, read_source
from enet_ros.perception.parameters.files import values_of_node
from enet_ros.perception.parameters.names import (
    checked_values,
    class_map_changes,
    values_of_camera,
)
from enet_ros.perception.parameters.settings import BY_NAME, NodeSettings, make_settings
from enet_ros.perception.perceive import Need, Perceiver
from enet_ros.perception.resize import resize_frame
from enet_ros.perception.segmenter import Segmenter

PARAMETER_SUFFIXES = ('.yaml', '.yml')
#: Parameters of a file that change what is compared here. Others need ROS, meters or a topic.
COMPARED = ('weights', 'resolution', 'backend', 'precision', 'threads', 'rotate',
            'confidence_floor', 'drivable', 'bit_depth', 'valid_mask')


@dataclass(frozen=True)
class Options:
    """Options of the command for a side that is no parameter file, and names for one that is.

    Attributes:
        resolution: (width, height) of the network.
        backend: Runtime of the network.
        threads: Number of CPU threads; 0 for all.
        node: Full name of the node in a parameter file.
    """

    resolution: tuple[int, int] = (640, 360)
    backend: str = 'auto'
    threads: int = 0
    node: str = '/enet'


@dataclass(frozen=True)
class SideFrame:
    """What one side says of a frame, at the size of its network.

    Attributes:
        labels: (h, w) uint8; 255 is unknown.
        confidence: (h, w) float32 in [0, 1].
        mask: (h, w) uint8: 255 is drivable.
        latency_ms: Time from the decoded frame to the mask.
    """

    labels: np.ndarray
    confidence: np.ndarray
    mask: np.ndarray
    latency_ms: float


class Side:
    """One side of a comparison.

    Attributes:
        text: What the user wrote.
        settings: Parameters, as the node would have them.
        segmenter: The compiled network.
        class_map: Classes, with the changes of a parameter file.
    """

    def __init__(self, text: str, options: Options):
        """Compile the network of a side.

        Args:
            text: ``WEIGHTS`` or ``FILE.yaml``, either with ``:PRECISION`` after it.
            options: Options of the command.

        Raises:
            ValueError: The weights, the file or the precision cannot be used.
        """
        self.text = text
        values, changes = read_side(text, options)
        self.settings = make_settings(values)
        names = ('resolution', 'backend', 'precision', 'threads')
        checkpoint = read_checkpoint(weights_path(self.settings.weights))
        self.class_map: ClassMap = checkpoint.class_map.override(changes)
        self.segmenter = Segmenter(checkpoint, **{name: getattr(self.settings, name)
                                                  for name in names})
        self._camera_settings = CameraSettings.of(self.settings, self.class_map)
        self._valid_mask = self._camera_settings.valid_mask
        self._unseen = self._valid_mask and self._valid_mask.unseen(self.segmenter.resolution)
        self._perceiver, self._bit_depth = Perceiver(), BitDepth(self.settings.bit_depth)
        self.segmenter.warm_up()

    def decoded(self, frame: RecordedFrame) -> np.ndarray:
        """Return a frame as this side sees it, (H, W, 3) uint8 RGB."""
        if frame.source is None:
            return frame.image
        return read_source(frame.source, self._bit_depth).rgb()

    def perceive(self, image: np.ndarray, time_sec: float) -> SideFrame:
        """Segment a frame, as the node does.

        Args:
            image: (H, W, 3) uint8 RGB.
            time_sec: Time by which the frame votes (``drivable.majority``).

        Raises:
            EncodingError: ``valid_mask`` does not fit the image.
        """
        if self._valid_mask is not None:
            self._valid_mask.check_fits(image.shape[1::-1])
        started_sec = time.perf_counter()
        batch = self.segmenter.new_batch(1)
        resize_frame(image, self.segmenter.resolution, batch[0])
        segmentation = self.segmenter.infer(
            batch, confidence=True, upside_down=[0] if self.settings.rotate == 180 else [])[0]
        perception = self._perceiver.perceive(segmentation, self._camera_settings,
                                              needs=Need.MASK | Need.CONFIDENCE,
                                              order_sec=time_sec, vote_group=image.shape,
                                              unseen=self._unseen)
        return SideFrame(perception.labels, perception.confidence, perception.mask,
                         1e3 * (time.perf_counter() - started_sec))


def read_side(text: str, options: Options) -> tuple[dict[str, object], dict]:
    """Return the parameters of a side by name, and its changes of the class map.

    Raises:
        ValueError: The text names nothing that can be compared.
    """
    name, precision = _split(text)
    if Path(name).suffix.lower() in PARAMETER_SUFFIXES:
        values, changes = _of_file(Path(os.path.expanduser(name)), options.node)
    else:
        values, changes = {'weights': name, 'resolution': list(options.resolution),
                           'backend': options.backend, 'threads': options.threads}, {}
    return values | ({'precision': precision} if precision else {}), changes


def _split(text: str) -> tuple[str, str]:
    """Split WEIGHTS:PRECISION. A file whose own name has the colon is no such pair."""
    name, colon, precision = text.rpartition(':')
    if not colon or Path(os.path.expanduser(text)).is_file():
        return text, ''
    if precision.lower() not in PRECISIONS:
        raise ValueError(f"'{text}' has the precision '{precision}', wanted WEIGHTS or "
                         f'WEIGHTS:PRECISION with one of {", ".join(PRECISION_NAMES)}')
    return name, canonical_precision(precision)


def _of_file(path: Path, node: str) -> tuple[dict[str, object], dict]:
    """Read a parameter file: its values for the first camera, and its changes of classes."""
    values = values_of_node(path, node)
    cameras = BY_NAME['cameras'].checked(values.get('cameras', ['']))
    checked = checked_values(values, cameras)
    shared = {name: checked[name] for name in BY_NAME if name in checked}
    return shared | values_of_camera(cameras[0], checked), class_map_changes(checked)


def uncompared(a: NodeSettings, b: NodeSettings) -> list[str]:
    """Return the names of parameters that differ, and change nothing that is compared."""
    return [field.name for field in fields(NodeSettings) if field.name not in COMPARED
            and getattr(a, field.name) != getattr(b, field.name)]
