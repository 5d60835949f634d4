"""The frames of a recording of ROS 2, of its only camera or of one topic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from enet_ros.comparison.frames import ComparedRecording, RecordedFrame
from enet_ros.media import SourceError
from enet_ros.perception.encodings import (
    BitDepth,
    CompressedFile,
    EncodedImage,
    EncodingError,
    read_source,
)
from enet_ros.recordings.cameras import CameraTopic, find_cameras
from enet_ros.recordings.definitions import typestore
from enet_ros.recordings.reader import Recording

#: Frames a second, by which the frames on which two sides differ most are told apart.
FPS = 10.0


def open_bag(path: Path, topic: str = '') -> ComparedRecording:
    """Open a recording of ROS 2.

    Args:
        path: A folder of rosbag2, or one .mcap or .db3.
        topic: Topic of the images; '' for the only camera.

    Raises:
        SourceError: It has several cameras, and no topic was given.
        ValueError: It cannot be read, or has no such camera.
    """
    with Recording(path) as bag:
        cameras, remarks = find_cameras(bag, [topic] if topic else [])
        if len(cameras) > 1:
            raise SourceError(f"'{path}' has several cameras: "
                              f'{", ".join(camera.topic.name for camera in cameras)}; wanted '
                              '--topic with one of them')
        count, remarks = bag.count(cameras[0].topic), bag.remarks + remarks
    return ComparedRecording(path, count, FPS, lambda skip: _frames(path, cameras[0], skip),
                             remarks)


def _frames(path: Path, camera: CameraTopic,
            skip: Callable[[str], None]) -> Iterator[RecordedFrame]:
    first_ns, depth = None, BitDepth()
    with Recording(path) as bag:
        for i, (_, log_ns, data) in enumerate(bag.messages([camera.topic])):
            first_ns = log_ns if first_ns is None else first_ns
            time_sec = (log_ns - first_ns) / 1e9
            name = f'{camera.topic.name}, frame {i}, {time_sec:.2f} s'
            try:
                source = _source(data, camera)
                raw = read_source(source, depth)
                image = raw.rgb()
            except EncodingError as error:
                skip(f'{name}: {error}')
                continue
            has_16_bits = any(remark.fact == 'bit_depth' for remark in raw.remarks)
            yield RecordedFrame(name, image, time_sec,
                                source=source if has_16_bits else None)


def _source(data: bytes, camera: CameraTopic) -> CompressedFile | EncodedImage:
    """Return the image of a message, before it is decoded."""
    try:
        message = typestore().deserialize_cdr(data, camera.topic.type)
    except Exception as error:  # rosbags has no narrower class
        raise EncodingError(f'a message of {len(data)} bytes is no {camera.topic.type}: '
                            f'{error or type(error).__name__}') from error
    if camera.is_compressed:
        return CompressedFile(message.data, message.format)
    return EncodedImage(message.data, message.encoding, message.width, message.height,
                        message.step, is_bigendian=bool(message.is_bigendian))
