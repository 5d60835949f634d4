"""What the outputs of the node and those of a recording have in common.

``ros/outputs.py`` and ``recordings/outputs.py`` put what is made here into messages.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Protocol

import numpy as np

from enet_ros.perception.encodings import Scratch
from enet_ros.perception.frame import FrameInFlight
from enet_ros.perception.geometry.pose import yaw_of
from enet_ros.perception.geometry.transforms import Transforms
from enet_ros.perception.grid import rotated_grid
from enet_ros.perception.output_error import OutputError
from enet_ros.perception.overlay import blend, color_mask
from enet_ros.perception.parameters.settings import NodeSettings
from enet_ros.perception.perceive import Need

#: As image_transport writes it: encoding of the image, then of the pixels in the file.
PNG_FORMAT, JPEG_FORMAT = 'mono8; png compressed mono8', 'rgb8; jpeg compressed bgr8'


class OutputRow(Protocol):
    """The part of a row of a table of outputs that every table has.

    Attributes:
        name: Name of the topic below the node or the camera.
        needs: What the message is made from. Without it there is no message.
        uses: Needs that add fields to the message, if they are met.
    """

    name: str
    needs: Need
    uses: Need


def find_requested(outputs: Iterable[OutputRow],
                   settings: NodeSettings) -> tuple[tuple[str, ...], Need]:
    """Find which outputs can be made with these settings, and what they are made from.

    Args:
        outputs: Rows of the outputs that somebody wants.
        settings: Settings of the camera.

    Returns:
        Their names in the same order, without those that need a ground where there is none, and
        the needs of all of them.
    """
    usable = ~Need.GROUND if settings.ground.pose == 'off' else ~Need.NOTHING
    names, needs = [], Need.NOTHING
    for output in outputs:
        if output.needs in usable:
            names.append(output.name)
            needs |= output.needs | output.uses & usable
    if Need.MASK in needs and settings.confidence_floor > 0.0:
        needs |= Need.CONFIDENCE
    if settings.rectified or settings.valid_mask:
        needs |= Need.VIEW
    return tuple(names), needs


def left_out(outputs: Iterable[OutputRow], requested: Container[str]) -> str:
    """Return which outputs somebody wants and nobody gets, and why, or ''.

    Args:
        outputs: Rows of the outputs that somebody wants.
        requested: Names of those that can be made; see :func:`find_requested`.
    """
    names = ', '.join(f'~/{output.name}' for output in outputs if output.name not in requested)
    return names and f'no {names}: ground.pose is off, wanted parameters or tf'


class OverlayMaker:
    """Makes the overlays of one camera. It keeps the memory for the next one."""

    def __init__(self):
        self._rgb, self._scratch = Scratch(), Scratch()

    def make(self, frame: FrameInFlight, out: np.ndarray | None = None) -> np.ndarray:
        """Blend the class colors into a frame.

        Args:
            frame: A perceived frame.
            out: (H, W, 3) uint8 of ``frame.output_size`` to write into, or None.

        Returns:
            (H, W, 3) uint8 RGB, which is ``out`` if it was given.
        """
        width, height = frame.output_size
        memory = self._rgb.of((height, width, 3))
        rgb = (frame.image.rgb(memory) if frame.image_size == frame.output_size
               else frame.image.resize_into(memory, self._scratch))
        colors = color_mask(frame.perception.labels, frame.camera_settings.color_lut)
        return blend(rgb, colors, frame.camera_settings.settings.overlay_opacity, out)


def grid_of(frame: FrameInFlight,
            transforms: Transforms) -> tuple[np.ndarray, tuple[float, float], str]:
    """Return the grid of a frame, in ``odom_frame`` if that is set.

    Returns:
        (height, width) int8 cells, x and y of the corner of the first cell in meters, and the
        frame of both.

    Raises:
        OutputError: TF does not know where the vehicle is in ``odom_frame``.
    """
    settings, spec = frame.camera_settings.settings, frame.camera_settings.grid
    cells = frame.perception.grid()
    if not settings.odom_frame:
        return cells, spec.origin_m, settings.base_frame
    try:
        (x, y, _), quaternion = transforms.lookup(settings.odom_frame, settings.base_frame,
                                                  frame.header.stamp, settings.tf_timeout)
    except LookupError as error:
        raise OutputError(str(error)) from error
    return *rotated_grid(cells, spec, (x, y), yaw_of(quaternion)), settings.odom_frame
