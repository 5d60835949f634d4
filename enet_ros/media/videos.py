"""Video files, read and written as RGB frames, and the frames of any source."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from enet_ros.common.whole_files import unfinished
from enet_ros.media.files import SourceError, is_video, list_images
from enet_ros.media.images import read_image

DEFAULT_FPS = 25.0  # of a video whose file does not say it
MPEG4_TICKS = 65_535

#: Kinds of files whose index counts the frames. Others give their duration, also of the sound.
COUNTED_SUFFIXES = ('.mp4', '.m4v', '.mov', '.avi')
#: Frames that a whole file may lack: an edit list hides a few at the ends.
HIDDEN_FRAMES = 2


class Video:
    """The frames of a video file, rotated as its metadata says.

    Attributes:
        path: Path of the file.
        fps: Frames a second as the file says, or 25 where it does not.
        count: Number of frames as the file says; 0 where it does not.
    """

    def __init__(self, path: Path):
        """Open a video.

        Raises:
            SourceError: The file cannot be read as a video.
        """
        self.path = path
        if not _is_utf8(path):
            raise SourceError(f"'{path}' cannot be read as a video: its name is not UTF-8, so "
                              'rename it')
        if path.exists() and not path.is_file():  # OpenCV would wait for ever.
            raise SourceError(f"'{path}' cannot be read as a video: it is a folder, a device or a "
                              'pipe, wanted a file')
        # FFmpeg takes a relative name with a colon for the address of a server.
        self._capture = cv2.VideoCapture(os.path.abspath(path))
        if not self._capture.isOpened():
            raise SourceError(f"'{path}' cannot be read as a video: {_why_not(path)}")
        # As players show it. It is OpenCV's default too, but not in all of its readers.
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0.1 < fps < 1000 else DEFAULT_FPS
        self.count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames, (H, W, 3) uint8 RGB, from the first to the last.

        Frames that cannot be decoded are left out.
        """
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        while True:
            good, frame = self._capture.read()
            if not good:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=frame)

    def missing(self, read: int) -> str:
        """Say in a sentence that frames are missing, or return '' where none is.

        Args:
            read: Number of frames that could be read.
        """
        if not read:
            return f"'{self.path}' has no frames that can be read"
        if self.path.suffix.lower() not in COUNTED_SUFFIXES or read >= self.count - HIDDEN_FRAMES:
            return ''
        return (f"'{self.path}' is damaged or cut short: {read} of its {self.count} frames could "
                'be read')


def _is_utf8(path: str | os.PathLike) -> bool:
    """Tell whether OpenCV may be given a path; a name of other bytes ends the process."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _why_not(path: Path) -> str:
    """Say why a file cannot be opened as a video."""
    try:
        with open(path, 'rb') as file:
            start = file.read(8)
    except OSError as error:
        return error.strerror or str(error)
    if not start:
        return 'it is empty'
    return 'it is damaged, cut short or of a kind that this OpenCV does not know'


def read_frames(path: Path, skip: Callable[[str], None] | None = None) -> Iterator[np.ndarray]:
    """Yield the frames of an image, a video or a folder of images, (H, W, 3) uint8 RGB.

    Args:
        path: Path of the image, the video or the folder.
        skip: Called with a sentence about each image of a folder, and about the part of a video,
            that cannot be read; what can be read is yielded. By default such an image is an
            error.

    Raises:
        SourceError: A file cannot be read, or no file of a folder and no frame of a video can.
    """
    if path.is_dir():
        yield from _read_folder(path, skip)
    elif is_video(path):
        yield from _read_video(Video(path), skip)
    else:
        yield read_image(path)


def _read_folder(folder: Path, skip: Callable[[str], None] | None) -> Iterator[np.ndarray]:
    count = 0
    for path in list_images(folder):
        try:
            frame = read_image(path)
        except SourceError as error:
            if skip is None:
                raise
            skip(str(error))
            continue
        count += 1
        yield frame
    if not count:
        raise SourceError(f"'{folder}' has no image that can be read")


def _read_video(video: Video, skip: Callable[[str], None] | None) -> Iterator[np.ndarray]:
    count = 0
    for frame in video:
        count += 1
        yield frame
    missing = video.missing(count)
    if not count:
        raise SourceError(missing)
    if missing and skip is not None:
        skip(missing)


def letterbox(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a frame into the middle of (width, height), with black bars beside or above it.

    A frame of that size is returned as it is.
    """
    if frame.shape[1::-1] == size:
        return frame
    height, width = frame.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    x, y = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    canvas[y:y + inner[1], x:x + inner[0]] = cv2.resize(
        frame, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return canvas


def writable_fps(fps: float) -> float:
    """Round a rate so that MPEG-4 can hold it, which has 16 bits for the ticks of a second."""
    return next((round(fps, digits) for digits in (3, 2, 1)
                 if fps * 10 ** digits < MPEG4_TICKS), round(fps))


class VideoWriter:
    """Writes RGB frames to an .mp4 file. The first frame sets the size; others are fitted in.

    The file has its name once it is whole. As a context manager it is discarded after an error.
    """

    def __init__(self, path: str | os.PathLike, fps: float):
        """Remember the path; the file is made with the first frame.

        Args:
            path: Path of the file.
            fps: Frames a second.
        """
        self._path, self._fps = Path(os.path.realpath(path)), fps  # a link stays one
        self._new = unfinished(self._path)
        self._writer: cv2.VideoWriter | None = None
        self._size, self._count = (0, 0), 0

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, (H, W, 3) uint8 RGB. OpenCV drops frames of another size than the first.

        So such a frame is resized, with black bars where its proportions differ.

        Raises:
            OSError: The file cannot be written.
        """
        if self._writer is None:
            if not _is_utf8(str(self._path)):
                raise OSError(f'{self._path} cannot be written: the name is not UTF-8')
            self._size = frame.shape[1::-1]
            self._writer = cv2.VideoWriter(str(self._new), cv2.VideoWriter_fourcc(*'mp4v'),
                                           writable_fps(self._fps), self._size)
            if not self._writer.isOpened():
                raise OSError(f'{self._path} cannot be written, with {self._size[0]}x'
                              f'{self._size[1]} pixels and {self._fps:g} frames a second')
        self._writer.write(cv2.cvtColor(letterbox(frame, self._size), cv2.COLOR_RGB2BGR))
        self._count += 1

    def close(self) -> None:
        """Finish the file and give it its name.

        Raises:
            OSError: Frames are missing, as when the disk is full. OpenCV does not say so.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        if cv2.VideoCapture(str(self._new)).get(cv2.CAP_PROP_FRAME_COUNT) < self._count:
            self._new.unlink(missing_ok=True)
            raise OSError(f"'{self._path}' cannot be written whole; is the disk full?")
        try:
            os.replace(self._new, self._path)
        except OSError as error:
            self._new.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def discard(self) -> None:
        """Remove what was written."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
            self._new.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()
