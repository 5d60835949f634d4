"""The frames that are compared, from an image, a video or a folder, and their labels if any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from enet_ros.media import SourceError, Video, existing, is_video, list_images, read_image

#: Frames a second of a folder of images, which does not say it.
FOLDER_FPS = 10.0
BAG_SUFFIXES = ('.mcap', '.db3')


@dataclass(frozen=True)
class RecordedFrame:
    """A frame of a recording.

    Attributes:
        name: Name of the file, or number and time in the video.
        image: (H, W, 3) uint8 RGB.
        time_sec: Time since the first frame.
        path: Path of the image file, or None for a frame of a video.
    """

    name: str
    image: np.ndarray
    time_sec: float
    path: Path | None = None


@dataclass(frozen=True)
class Recording:
    """What is compared on.

    Attributes:
        path: Path of the image, video or folder.
        count: Number of frames that the file says it has, or 0 if it does not.
        fps: Frames a second.
        open: Returns the frames. It calls its argument with a sentence for each that is skipped.
    """

    path: Path
    count: int
    fps: float
    open: Callable[[Callable[[str], None]], Iterator[RecordedFrame]]


def open_recording(text: str) -> Recording:
    """Open a recording.

    Args:
        text: Path of an image, a video or a folder of images.

    Raises:
        SourceError: It does not exist or cannot be opened.
    """
    path = existing(text)
    if is_bag(path):
        return _open_bag(path)
    if is_video(path):
        video = Video(path)
        return Recording(path, video.count, video.fps, lambda skip: _video_frames(video, skip))
    paths = list_images(path) if path.is_dir() else [path]
    return Recording(path, len(paths), FOLDER_FPS, lambda skip: _image_frames(paths, skip))


def is_bag(path: Path) -> bool:
    """Tell whether a path is a recording of ROS 2."""
    if path.is_dir():
        return (path / 'metadata.yaml').exists()
    return path.suffix.lower() in BAG_SUFFIXES


def _open_bag(path: Path) -> Recording:
    raise SourceError(f"'{path}' is a recording of ROS 2, which compare does not read; wanted a "
                      'video or a folder of images')


def _image_frames(paths: list[Path], skip: Callable[[str], None]) -> Iterator[RecordedFrame]:
    for i, path in enumerate(paths):
        try:
            image = read_image(path)
        except SourceError as error:
            skip(str(error))
            continue
        yield RecordedFrame(path.name, image, i / FOLDER_FPS, path)


def _video_frames(video: Video, skip: Callable[[str], None]) -> Iterator[RecordedFrame]:
    count = 0
    for image in video:
        yield RecordedFrame(f'frame {count}, {count / video.fps:.2f} s', image, count / video.fps)
        count += 1
    if missing := video.missing(count):
        skip(missing)
