"""Image and video files, read and written as RGB frames."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

#: Endings of the names of image files, in lower case.
IMAGE_SUFFIXES = frozenset({'.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp', '.ppm'})
#: Endings of the names of video files, in lower case.
VIDEO_SUFFIXES = frozenset({'.mp4', '.avi', '.mkv', '.mov', '.m4v', '.webm', '.mpg', '.mpeg'})

DEFAULT_FPS = 25.0  # of a video whose file does not say it


class SourceError(ValueError):
    """A file or folder that gives no frames. The message names it and what was wanted."""


def is_video(path: Path) -> bool:
    """Tell by its name whether a file is a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def existing(path: str) -> Path:
    """Return the path of a file or folder that exists; ``~`` is the home folder.

    Raises:
        SourceError: the path does not exist.
    """
    expanded = Path(path).expanduser()
    if not expanded.exists():
        raise SourceError(f"'{path}' does not exist, wanted a picture, a video or a folder")
    return expanded


def read_image(path: Path) -> np.ndarray:
    """Read an image file, (H, W, 3) uint8 RGB.

    Raises:
        SourceError: OpenCV cannot read the file as an image, or the image is too large for it.
    """
    try:
        frame = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise SourceError(f"'{path}' cannot be read as a picture: {error.err}") from error
    if frame is None:
        raise SourceError(f"'{path}' cannot be read as a picture")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=frame)


def list_images(folder: Path) -> list[Path]:
    """Return the image files of a folder in the order of their names.

    Raises:
        SourceError: the folder has no image file.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise SourceError(f"'{folder}' has no pictures, wanted files that end in "
                          f'{", ".join(sorted(IMAGE_SUFFIXES))}')
    return paths


class Video:
    """The frames of a video file.

    Attributes:
        fps: frames a second as the file says, or 25 where it does not.
        count: number of frames as the file says; 0 where it does not.
    """

    def __init__(self, path: Path):
        """Open a video.

        Raises:
            SourceError: the file cannot be read as a video.
        """
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise SourceError(f"'{path}' cannot be read as a video")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0.1 < fps < 1000 else DEFAULT_FPS
        self.count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames, (H, W, 3) uint8 RGB, from the first to the last."""
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        while True:
            good, frame = self._capture.read()
            if not good:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=frame)


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Yield the frames of an image, a video or a folder of images, (H, W, 3) uint8 RGB.

    Raises:
        SourceError: a file cannot be read.
    """
    if path.is_dir():
        yield from (read_image(image) for image in list_images(path))
    elif is_video(path):
        yield from Video(path)
    else:
        yield read_image(path)


def write_picture(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write an image as a PNG file.

    Args:
        path: of the file.
        image: (H, W, 3) uint8 RGB, or (H, W) uint8.

    Raises:
        OSError: the file cannot be written.
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    good, data = cv2.imencode('.png', image)
    if not good:
        raise OSError(f'{path} cannot be written')
    with open(path, 'wb') as file:
        file.write(data)


class VideoWriter:
    """Writes RGB frames to an .mp4 file. The first frame sets the size."""

    def __init__(self, path: str | os.PathLike, fps: float):
        """Remember the path; the file is made with the first frame.

        Args:
            path: of the file.
            fps: frames a second.
        """
        self._path, self._fps = str(path), fps
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, (H, W, 3) uint8 RGB of the first frame's size.

        Raises:
            OSError: the file cannot be written.
        """
        if self._writer is None:
            self._writer = cv2.VideoWriter(self._path, cv2.VideoWriter_fourcc(*'mp4v'),
                                           self._fps, frame.shape[1::-1])
            if not self._writer.isOpened():
                raise OSError(f'{self._path} cannot be written')
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()
