"""Finds the node to look at: its cameras, the topics of their images, its classes."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.client import Client
from rclpy.exceptions import InvalidTopicNameException
from rclpy.executors import Executor
from rclpy.node import Node
from rclpy.validate_full_topic_name import validate_full_topic_name

from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.network.class_map import ClassMap
from enet_ros.ros.diagnostics import status_title
from enet_ros.ros.graph_doctor.observation import COMPRESSED, IMAGE
from enet_ros.ros.tools.view_classes import (
    ANSWER_SEC,
    ask_classes,
    ask_parameters,
    parameter_client,
)

REMIND_SEC = 5.0
DIAGNOSTICS_SEC = 3.0  # By default the node sends them once a second.


class TargetError(RuntimeError):
    """The node cannot be looked at. The message says why, and what to do."""


@dataclass(frozen=True)
class CameraTopics:
    """Where one camera is seen.

    Attributes:
        name: Name of the camera in the parameter cameras; empty for the only one.
        image: Topic of its images.
        is_compressed: Whether these are sensor_msgs/CompressedImage.
        outputs: What the names of its outputs begin with, such as /enet/front/.
    """

    name: str
    image: str
    is_compressed: bool
    outputs: str


@dataclass(frozen=True)
class Target:
    """A node to look at.

    Attributes:
        name: Fully qualified name.
        cameras: Its cameras.
        class_map: Its classes.
        doubt: Why the classes may be others, or ''.
    """

    name: str
    cameras: tuple[CameraTopics, ...]
    class_map: ClassMap
    doubt: str = ''


def find_target(node: Node, executor: Executor, name: str, images: Sequence[str], weights: str,
                wait_sec: float, say: Callable[[str], object]) -> Target:
    """Wait for a node of this package that is configured, and ask what it has.

    Args:
        node: Looks at the graph.
        executor: Spins ``node``.
        name: Name of the node to find, such as /enet.
        images: Topics of the images of the cameras in order, or none to find them.
        weights: Where the names of the classes come from, or '' to ask the node.
        wait_sec: Longest time to wait.
        say: Receives a sentence now and then while nothing is found.

    Raises:
        TargetError: The node did not come, or did not answer.
        ValueError: ``images`` or ``weights`` cannot be used.
    """
    full, images = '/' + name.strip('/'), ['/' + topic.removeprefix('/') for topic in images]
    check_names(full, images)
    class_map = read_checkpoint(weights_path(weights)).class_map if weights else None
    namespace, _, short = full.rpartition('/')
    client = parameter_client(node, full)
    _wait(lambda: _lack(node, namespace or '/', short, client), executor, wait_sec, say)
    values = _wait_for(ask_parameters(client, ['cameras']), executor)
    names = [str(camera) for camera in values.get('cameras') or ['']]
    if images and len(images) != len(names):
        raise ValueError(f'{len(images)} image topics were given, and {full} has {len(names)} '
                         f'cameras: {", ".join(names)}; wanted one --image each, in this order')
    cameras = _camera_topics(node, executor, full, names, images)
    class_map, doubt = (class_map, '') if class_map else _wait_for(ask_classes(client), executor)
    return Target(full, tuple(
        CameraTopics(camera, topic, compressed, f'{full}/{camera}/' if camera else f'{full}/')
        for camera, (topic, compressed) in zip(names, cameras)), class_map, doubt)


def _camera_topics(node: Node, executor: Executor, full: str, names: Sequence[str],
                   images: Sequence[str]) -> list[tuple[str, bool]]:
    """Return the topic of each camera's images, and whether they are compressed."""
    namespace, _, short = full.rpartition('/')
    inputs = dict(node.get_subscriber_names_and_types_by_node(short, namespace or '/'))
    if not images and (len(names) > 1 or not _image_topics(inputs)):
        images = _told_topics(node, executor, full, names)
    if images:
        types = {**dict(node.get_topic_names_and_types()), **inputs}
        return [(topic, COMPRESSED in types.get(topic, ())) for topic in images]
    return [image_topic(camera, names, inputs, namespace) for camera in names]


def check_names(name: str, images: Sequence[str]) -> None:
    """Refuse names that no node or topic can have.

    Args:
        name: Full name of a node.
        images: Topics.

    Raises:
        ValueError: One of them cannot be used. The message names the option.
    """
    if not _is_topic(name):
        raise ValueError(f"--node is '{name[1:]}', wanted the name of a node, such as /enet or "
                         '/robot/enet')
    for topic in images:
        if not _is_topic(topic):
            raise ValueError(f"--image is '{topic}', wanted a topic, such as /camera/image_raw")


def _is_topic(name: str) -> bool:
    try:
        return validate_full_topic_name(name)
    except InvalidTopicNameException:
        return False


def _told_topics(node: Node, executor: Executor, full: str, cameras: Sequence[str]) -> list[str]:
    """Return the topic of each camera, as the diagnostics tell it, or none if one is not told."""
    topic_of: dict[str, str] = {}

    def read(message: DiagnosticArray) -> None:
        topic_of.update((status.name, value.value) for status in message.status
                    for value in status.values
                    if value.key == 'image_topic' and _is_topic(value.value))
    titles = [status_title(full, camera) for camera in cameras]
    subscription = node.create_subscription(DiagnosticArray, '/diagnostics', read, 10)
    deadline = time.monotonic() + DIAGNOSTICS_SEC
    while not topic_of.keys() >= set(titles) and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    node.destroy_subscription(subscription)
    return [topic_of[title] for title in titles] if topic_of.keys() >= set(titles) else []


def _wait(lack: Callable[[], str], executor: Executor, wait_sec: float,
          say: Callable[[str], object]) -> None:
    """Spin until nothing is lacking."""
    deadline, next_word_sec = time.monotonic() + wait_sec, time.monotonic() + REMIND_SEC
    while problem := lack():
        executor.spin_once(timeout_sec=0.2)
        if time.monotonic() > deadline:
            raise TargetError(f'{problem} It did not change within {wait_sec:g} s.')
        if time.monotonic() > next_word_sec:
            say(f'{problem} Waiting.')
            next_word_sec += REMIND_SEC


def _lack(node: Node, namespace: str, name: str, client: Client) -> str:
    """Return '' if the node is there and configured, or what it lacks."""
    full = f'{namespace.rstrip("/")}/{name}'
    nodes = node.get_node_names_and_namespaces()
    if (name, namespace) not in nodes:
        others = sorted({f'{space.rstrip("/")}/{other}' for other, space in nodes
                         if other != node.get_name()})
        return (f'There is no node {full}. Seen here: {", ".join(others) or "no node at all"}. '
                'Start it, or name it by --node, or set ROS_DOMAIN_ID as it has it.')
    if not client.service_is_ready():
        return f'The node {full} has no parameter services yet.'
    outputs = dict(node.get_publisher_names_and_types_by_node(name, namespace))
    if not any(topic.endswith('/labels') for topic in outputs):
        return f'The node {full} is not configured, or is no segment_node.'
    return ''


def _wait_for(task: Coroutine, executor: Executor) -> object:
    """Return the result of a coroutine that asks the node.

    Raises:
        TargetError: No answer came.
    """
    future = executor.create_task(task)
    executor.spin_until_future_complete(future, timeout_sec=ANSWER_SEC)
    if not future.done():
        raise TargetError(f'the node did not answer for {ANSWER_SEC:.0f} s; is it halted?')
    return future.result()


def image_topic(camera: str, cameras: Sequence[str], inputs: Mapping[str, Sequence[str]],
                namespace: str) -> tuple[str, bool]:
    """Return the topic of a camera's images, and whether they are compressed.

    Args:
        camera: Name of the camera, or '' for the only one.
        cameras: Names of all cameras.
        inputs: Topics to which the node subscribes, with their types.
        namespace: Namespace of the node.
    """
    images = _image_topics(inputs)
    if len(cameras) > 1:
        images = {topic: value for topic, value in images.items()
                  if camera in topic.split('/')}
    if len(images) == 1:
        return next(iter(images.items()))
    return f'{namespace.rstrip("/")}/{camera}/image' if camera else \
        f'{namespace.rstrip("/")}/image', False


def _image_topics(inputs: Mapping[str, Sequence[str]]) -> dict[str, bool]:
    """Return the topics of images among topics with types, and whether each is compressed."""
    return {topic: COMPRESSED in types for topic, types in inputs.items()
            if {IMAGE, COMPRESSED} & set(types)}
