"""Parts of a frame's steps that the node and a recording share. Arrays only."""

from __future__ import annotations

import numpy as np

from enet_ros.perception.encodings import (
    BitDepth,
    CompressedFile,
    Scratch,
    read_compressed,
    read_raw_image,
)
from enet_ros.perception.frame import FrameInFlight
from enet_ros.perception.perceive import Perceiver
from enet_ros.perception.segmenter import all_unknown


def decode_frame(frame: FrameInFlight, network_input: np.ndarray, scratch: Scratch,
                 depth: BitDepth) -> None:
    """Read the image of a frame, write the network's view of it, and fill in the sizes.

    Args:
        frame: A frame with its settings. The pixels of its image may be a view of its source.
        network_input: (H, W, 3) uint8 of the network's size, which is written as RGB.
        scratch: Memory for what lies between.
        depth: Significant bits of this camera's images.

    Raises:
        EncodingError: The image cannot be read, or the valid mask of its camera does not fit.
    """
    source = frame.source
    frame.image = image = (read_compressed(source, depth) if isinstance(source, CompressedFile)
                           else read_raw_image(source, depth))
    frame.image_size = image.pixels.shape[1::-1]
    if frame.camera_settings.valid_mask is not None:
        frame.camera_settings.valid_mask.check_fits(frame.image_size)
    image.resize_into(network_input, scratch)
    frame.output_size = (frame.image_size if frame.camera_settings.settings.output_size == 'input'
                         else network_input.shape[1::-1])
    frame.vote_group = frame.time_epoch, frame.header.frame_id, frame.image_size


def make_suspect_unknown(frame: FrameInFlight, perceiver: Perceiver) -> None:
    """Make a suspect frame unknown, and forget the frames before it, if its settings say so."""
    if frame.camera_settings.settings.suspect_frames == 'unknown':
        frame.segmentation = all_unknown(frame.segmentation)
        perceiver.forget()
