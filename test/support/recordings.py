"""Recordings of the drawn street, written by rosbags' writer, and what lies in recordings."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from enet_ros.perception.images.write_raw import encode_image
from enet_ros.scene.road_scene import RoadScene

SCENE = RoadScene(320, 192)
START_NS, STEP_NS = 1_700_000_000_123_456_789, 100_000_000
LATCH_NS = 3_000_000  # from the stamp of a frame to the time of its recording


def frames(count):
    """Return drawn frames, (H, W, 3) uint8 RGB."""
    return [SCENE.render(1.0 + 0.1 * i)[0] for i in range(count)]


def store():
    """Return rosbags' own types, without ours."""
    from rosbags.typesys import Stores, get_typestore
    return get_typestore(Stores.ROS2_JAZZY)


def header(types, stamp_ns, frame_id):
    sec, nanosec = divmod(stamp_ns, 10**9)
    return types['std_msgs/msg/Header'](
        types['builtin_interfaces/msg/Time'](sec, nanosec), frame_id)


def image(types, frame, stamp_ns, frame_id='cam', encoding='rgb8'):
    data, step = encode_image(frame, encoding)
    return types['sensor_msgs/msg/Image'](
        header(types, stamp_ns, frame_id), frame.shape[0], frame.shape[1], encoding, 0, step,
        np.frombuffer(data, np.uint8))


def compressed(types, frame, stamp_ns, frame_id='cam'):
    data = cv2.imencode('.jpg', frame[..., ::-1])[1].reshape(-1)
    return types['sensor_msgs/msg/CompressedImage'](
        header(types, stamp_ns, frame_id), 'rgb8; jpeg compressed bgr8', data)


def camera_info(types, stamp_ns, camera=SCENE.camera):
    region = types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    k = np.asarray(camera.k, float)
    return types['sensor_msgs/msg/CameraInfo'](
        header(types, stamp_ns, 'cam'), camera.height, camera.width, 'plumb_bob', np.zeros(5),
        k.ravel(), np.eye(3).ravel(), np.hstack((k, np.zeros((3, 1)))).ravel(), 0, 0, region)


def transform(types, stamp_ns, parent, child, position, quaternion):
    vector, turn = types['geometry_msgs/msg/Vector3'], types['geometry_msgs/msg/Quaternion']
    return types['tf2_msgs/msg/TFMessage']([types['geometry_msgs/msg/TransformStamped'](
        header(types, stamp_ns, parent), child,
        types['geometry_msgs/msg/Transform'](vector(*position), turn(*quaternion)))])


def mounted(camera=SCENE.camera):
    """Return position and quaternion of the drawn camera's optical frame in base_link."""
    half = 0.5 * float(camera.pitch_rad)
    pitch = np.array([0.0, np.sin(half), 0.0, np.cos(half)])
    return (0.0, 0.0, float(camera.height_m)), tuple(
        product(pitch, np.array([-0.5, 0.5, -0.5, 0.5])))


def product(one, other):
    """Return the product of two quaternions x y z w."""
    vector = one[3] * other[:3] + other[3] * one[:3] + np.cross(one[:3], other[:3])
    return np.append(vector, one[3] * other[3] - one[:3] @ other[:3])


def street(count=6, topics=('/image',), *, kind='sensor_msgs/msg/Image', meters=False,
           encoding='rgb8', messages=None):
    """Return rows (topic, type, time of recording, message) of a drive.

    Args:
        count: Frames of each camera.
        topics: Topics of the cameras.
        kind: Type of the images.
        meters: Whether there are camera infos and transforms.
        encoding: Encoding of raw images.
        messages: Drawn frames, or None to draw.
    """
    types, rows = store().types, []
    drawn = messages or frames(count)
    for i, frame in enumerate(drawn):
        stamp_ns = START_NS + i * STEP_NS
        if meters and i == 0:
            rows.append(('/tf_static', 'tf2_msgs/msg/TFMessage', stamp_ns,
                         transform(types, stamp_ns, 'base_link', 'cam', *mounted())))
        for n, topic in enumerate(topics):
            at_ns = stamp_ns + LATCH_NS + n
            if meters:
                info = topic.removesuffix('/compressed').rpartition('/')[0] + '/camera_info'
                rows.append((info, 'sensor_msgs/msg/CameraInfo', at_ns - 1,
                             camera_info(types, stamp_ns)))
            message = (image(types, frame, stamp_ns, f'cam{n or ""}', encoding)
                       if kind.endswith('/Image') else
                       compressed(types, frame, stamp_ns, f'cam{n or ""}'))
            rows.append((topic, kind, at_ns, message))
        rows.append(('/note', 'std_msgs/msg/String', stamp_ns + 2 * LATCH_NS,
                     types['std_msgs/msg/String'](f'note {i}')))
    return rows


def write(path: Path, rows, *, storage='mcap', compression=None, profiles=0):
    """Write a recording; returns its folder.

    Args:
        path: Folder to make.
        rows: From :func:`street`. A message may be bytes.
        storage: 'mcap' or 'sqlite3'.
        compression: 'file', 'message', 'storage' or None.
        profiles: Number of offered profiles of quality of service.
    """
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
    types = store()
    writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    if compression:
        writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, kind, log_ns, message in rows:
            if (topic, kind) not in connections:
                connections[topic, kind] = writer.add_connection(
                    topic, kind, typestore=types, offered_qos_profiles=[quality()] * profiles)
            data = message if isinstance(message, bytes) else types.serialize_cdr(message, kind)
            writer.write(connections[topic, kind], log_ns, bytes(data))
    return path


def quality():
    """Return a quality of service as publishers of images offer it."""
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )
    never = QosTime(9223372036, 854775807)
    return Qos(QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.VOLATILE, never,
               never, QosLiveliness.AUTOMATIC, never, False)


def read(path: Path):
    """Return rows (topic, type, time of recording, bytes) of a recording, by rosbags' reader."""
    from rosbags.rosbag2 import Reader
    with Reader(path) as reader:
        return [(connection.topic, connection.msgtype, log_ns, bytes(data))
                for connection, log_ns, data in reader.messages()]


def decoded(path: Path):
    """Return {topic: [(time of recording, message)]}, by the definitions in the recording."""
    from rosbags.highlevel import AnyReader
    found = {}
    with AnyReader([path]) as reader:
        for connection, log_ns, data in reader.messages():
            found.setdefault(connection.topic, []).append(
                (log_ns, reader.deserialize(data, connection.msgtype)))
    return found


def stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
