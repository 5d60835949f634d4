"""Pictures and videos in files, read and written as RGB frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

IMAGE_SUFFIXES = frozenset({'.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp', '.ppm'})
VIDEO_SUFFIXES = frozenset({'.mp4', '.avi', '.mkv', '.mov', '.m4v', '.webm', '.mpg', '.mpeg'})


class SourceError(ValueError):
    """A file or folder that gives no frames; the message names it and what was wanted."""


def is_video(path: Path) -> bool:
    """Tell by its name whether a file is a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def read_image(path: Path) -> np.ndarray:
    """Read a picture, (H, W, 3) uint8 RGB.

    Raises:
        SourceError: the file cannot be read as a picture, or is larger than OpenCV reads.
    """
    try:
        frame = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise SourceError(f"'{path}' cannot be read as a picture: {error.err}") from error
    if frame is None:
        raise SourceError(f"'{path}' cannot be read as a picture")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=frame)


def list_images(folder: Path) -> list[Path]:
    """Return the pictures of a folder in the order of their names.

    Raises:
        SourceError: there are none.
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
        self._path = path
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise SourceError(f"'{path}' cannot be read as a video")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0.1 < fps < 1000 else 25.0
        self.count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield frames, (H, W, 3) uint8 RGB, from the first to the last."""
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        while True:
            good, frame = self._capture.read()
            if not good:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=frame)


def existing(path: str) -> Path:
    """Return the path of a file or folder that exists.

    Raises:
        SourceError: there is none.
    """
    found = Path(path).expanduser()
    if not found.exists():
        raise SourceError(f"'{path}' does not exist, wanted a picture, a video or a folder")
    return found


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Yield the frames of a picture, a video or a folder of pictures, RGB.

    Raises:
        SourceError: something there cannot be read.
    """
    if path.is_dir():
        yield from (read_image(image) for image in list_images(path))
    elif is_video(path):
        yield from Video(path)
    else:
        yield read_image(path)


def write_picture(path, picture: np.ndarray) -> None:
    """Write a PNG, (H, W, 3) uint8 RGB or (H, W) uint8.

    Raises:
        OSError: the file cannot be written.
    """
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    good, data = cv2.imencode('.png', picture)
    if not good:
        raise OSError(f'{path} cannot be written')
    with open(path, 'wb') as file:
        file.write(data)


class VideoWriter:
    """Writes RGB frames to an .mp4; the first frame sets the size."""

    def __init__(self, path, fps: float):
        """Remember where to; the file is made with the first frame."""
        self._path, self._fps = str(path), fps
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, (H, W, 3) uint8 RGB.

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
