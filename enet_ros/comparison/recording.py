"""The frames that are compared, from an image, a video or a folder, and their labels if any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from enet_ros.comparison.frames import ComparedRecording, RecordedFrame
from enet_ros.media import SourceError, Video, existing, is_video, list_images, read_image
from enet_ros.recordings.files import (
    is_recording_folder,
    recordings_in,
    storage_files,
    storage_suffix,
)

#: Frames a second of a folder of images, which does not say it.
FOLDER_FPS = 10.0


def open_recording(text: str, topic: str = '') -> ComparedRecording:
    """Open a recording.

    Args:
        text: Path of an image, a video, a folder of images or a recording of ROS 2.
        topic: Topic of the images in a recording of ROS 2; '' for the only camera.

    Raises:
        SourceError: It does not exist, cannot be opened, is a folder of several recordings of
            ROS 2, or is none of ROS 2 and a topic is given.
    """
    path = existing(text)
    if _is_bag(path):
        from enet_ros.comparison.bags import open_bag  # it needs rosbags
        return open_bag(path, topic)
    if topic:
        raise SourceError(f"--topic is '{topic}', but '{path}' is no recording of ROS 2: leave "
                          '--topic out')
    if is_video(path):
        video = Video(path)
        return ComparedRecording(path, video.count, video.fps,
                                 lambda skip: _video_frames(video, skip))
    paths = _images_of(path) if path.is_dir() else [path]
    return ComparedRecording(path, len(paths), FOLDER_FPS, lambda skip: _image_frames(paths, skip))


def _is_bag(path: Path) -> bool:
    """Tell whether a path is a recording of ROS 2.

    Raises:
        SourceError: It is a folder with several files of recordings.
    """
    if not path.is_dir():
        return bool(storage_suffix(path))
    if is_recording_folder(path):
        return True
    if files := storage_files(path):
        raise _several(path, files)
    return False


def _several(path: Path, recordings: list[Path]) -> SourceError:
    return SourceError(f"'{path}' holds several recordings, wanted one of them, such as "
                       f"'{recordings[0]}'")


def _images_of(folder: Path) -> list[Path]:
    """Return the images of a folder.

    Raises:
        SourceError: It has none.
    """
    try:
        return list_images(folder)
    except SourceError as error:
        if recordings := recordings_in(folder):
            raise _several(folder, recordings) from error
        raise


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
