"""The frames of a recording, whatever kind of file they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from enet_ros.perception.encodings import CompressedFile, EncodedImage


@dataclass(frozen=True)
class RecordedFrame:
    """A frame of a recording.

    Attributes:
        name: Name of the file, or number and time in the video.
        image: (H, W, 3) uint8 RGB.
        time_sec: Time since the first frame.
        path: Path of the image file, or None for a frame of a video.
        source: The image before it is decoded, if each side decodes it by its own bit_depth.
    """

    name: str
    image: np.ndarray
    time_sec: float
    path: Path | None = None
    source: CompressedFile | EncodedImage | None = None


@dataclass(frozen=True)
class ComparedRecording:
    """What is compared on.

    Attributes:
        path: Path of the image, video or folder.
        count: Number of frames that the file says it has, or 0 if it does not.
        fps: Frames a second.
        open: Returns the frames. It calls its argument with a sentence for each that is skipped.
        remarks: Sentences about what is left out or doubtful in it.
    """

    path: Path
    count: int
    fps: float
    open: Callable[[Callable[[str], None]], Iterator[RecordedFrame]]
    remarks: Sequence[str] = ()
