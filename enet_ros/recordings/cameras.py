"""Which topics of a recording are cameras, and how the node would name their outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from enet_ros.perception.images.raw_encodings import find_encoding
from enet_ros.perception.images.raw_image import CompressedFile, EncodingError
from enet_ros.perception.images.read_compressed import why_never_read
from enet_ros.perception.parameters.settings import make_settings
from enet_ros.recordings.definitions import typestore
from enet_ros.recordings.outputs import LABEL_INFO, OUTPUTS
from enet_ros.recordings.reader import Recording, RecordingError, Topic

IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
#: Outputs of a node that are images, and those by which one knows that a node made them.
_IMAGE_OUTPUTS = {name.removesuffix('/compressed') for name, output in OUTPUTS.items()
                  if output.type in IMAGE_TYPES}
_SIGNS = {*_IMAGE_OUTPUTS, LABEL_INFO, 'drivable_area'}
_DEPTH_ENCODINGS = ('16uc1', '32fc1')
#: A transport is taken instead of the raw images from that many times their number on.
_CLEARLY_MORE = 1.5
_LOOKED_AT = 5  # messages of a topic, since one may be damaged
_NOT_A_NAME = re.compile(r'image(_\w+)?|compressed|rgb|colou?r')


@dataclass(frozen=True)
class CameraTopic:
    """A camera of a recording.

    Attributes:
        name: Name of the camera, empty for the only one.
        topic: Topic of its images.
    """

    name: str
    topic: Topic

    @property
    def is_compressed(self) -> bool:
        """Whether the images are files (CompressedImage)."""
        return self.topic.type == IMAGE_TYPES[1]

    @property
    def camera_info(self) -> str:
        """Topic of the calibration: beside the raw images, as image_transport has it."""
        return f'{base_of(self.topic.name).rpartition("/")[0]}/camera_info'

    @property
    def prefix(self) -> str:
        """The part of an output's topic between the node and the name of the output."""
        return f'{self.name}/' if self.name else ''


def base_of(topic: str) -> str:
    """Return the topic of the raw images that belong to a topic."""
    return topic.removesuffix('/compressed')


def find_cameras(recording: Recording, chosen: Sequence[str] = (), *,
                 node: str = 'enet') -> tuple[list[CameraTopic], list[str]]:
    """Find the cameras of a recording.

    Args:
        recording: The recording.
        chosen: 'TOPIC' or 'NAME=TOPIC' each, or none for all that are cameras.
        node: Name of the node, whose own images are none.

    Returns:
        The cameras, and a sentence for each image topic that is left out.

    Raises:
        RecordingError: A topic is not there, has no images or is given twice, or no topic has
            images.
    """
    images, doubled = _image_topics(recording)
    if chosen:
        topics = [_chosen_topic(recording, images, text.rpartition('=')[2]) for text in chosen]
        _refuse_doubled([topic.name for topic in topics])
        given, remarks = [text.rpartition('=')[0] for text in chosen], []
    else:
        topics, remarks = _all_cameras(recording, images, node)
        given = [''] * len(topics)
    names = ([given[0]] if len(topics) == 1 else
             [name or made for name, made in zip(given, names_of(topics))])
    try:
        make_settings({'cameras': names})
    except ValueError as error:
        raise RecordingError(f'{error}; wanted --topic NAME=TOPIC') from error
    return [CameraTopic(name, topic) for name, topic in zip(names, topics)], doubled + remarks


def _refuse_doubled(names: Sequence[str]) -> None:
    """Refuse a topic that is given twice: each has one camera.

    Raises:
        RecordingError: One is.
    """
    doubled = next((name for name in names if names.count(name) > 1), '')
    if doubled:
        raise RecordingError(f"the topic '{doubled}' is given twice, wanted one camera for each "
                             'topic; leave one --topic out')


def _image_topics(recording: Recording) -> tuple[dict[str, Topic], list[str]]:
    """Return the topics of images by their names, and a sentence for each second type of a name.

    ROS lets publishers of one topic have different types. The type with most messages is taken.
    """
    images: dict[str, Topic] = {}
    remarks = []
    topics = [topic for topic in recording.topics if topic.type in IMAGE_TYPES]
    for topic in sorted(topics, key=recording.count, reverse=True):
        first = images.setdefault(topic.name, topic)
        if first is not topic:
            remarks.append(f'{topic.name} is left out as {topic.type}: it is labeled as '
                           f'{first.type}' if first.type != topic.type else
                           f'{recording.count(topic)} messages of {topic.name} are left out: '
                           f'their definition of {topic.type} is not that of the others')
    return {topic.name: topic for topic in topics if images[topic.name] is topic}, remarks


def names_of(topics: Sequence[Topic]) -> list[str]:
    """Return names for several cameras: the last parts of their topics that differ."""
    parts = [[re.sub(r'\W', '_', part) for part in base_of(topic.name).split('/')
              if part and not _NOT_A_NAME.fullmatch(part)] or ['camera'] for topic in topics]
    for count in range(1, max(map(len, parts)) + 1):
        names = ['_'.join(own[-count:]) for own in parts]
        if len(set(names)) == len(names):
            break
    else:
        names = [re.sub(r'\W', '_', topic.name.strip('/')) for topic in topics]
    return [name if name[0].isalpha() else f'camera_{name.strip("_")}' for name in names]


def _chosen_topic(recording: Recording, images: dict[str, Topic], name: str) -> Topic:
    if name in images:
        return images[name]
    other = next((topic for topic in recording.topics if topic.name == name), None)
    problem = (f"the topic '{name}' has {other.type}, wanted images" if other else
               f"the recording has no topic '{name}'")
    raise RecordingError(f"'{recording.path}': {problem}; its image topics are "
                         f'{", ".join(images) or "none"}')


def _all_cameras(recording: Recording, images: dict[str, Topic],
                 node: str) -> tuple[list[Topic], list[str]]:
    """Return the topics that are cameras, and why others are left out."""
    found, remarks = [], []
    for name, topic in images.items():
        reason = _why_not(recording, images, topic, node)
        if reason:
            remarks.append(f'{name} is left out: {reason}')
        else:
            found.append(topic)
    if not found:
        others = ', '.join(f'{topic.name} ({topic.type})' for topic in recording.topics) or 'none'
        raise RecordingError(f"'{recording.path}' has no images of a camera; its topics are "
                             f'{others}' + ''.join(f'; {remark}' for remark in remarks))
    return found, remarks


def _why_not(recording: Recording, images: dict[str, Topic], topic: Topic, node: str) -> str:
    """Return why a topic of images is no camera, or ''."""
    if topic.name.startswith(f'/{node}/'):
        return f'it is an output of /{node}'
    if sign := _sign_of_node(recording, topic):
        return f'it is an output of a node, as {sign} beside it shows'
    if topic.name.endswith('/compressedDepth'):
        return 'it is depth'
    above = topic.name.rpartition('/')[0]
    raw = images[above] if above in images and _has_images_of(topic, above) else topic
    taken = _fullest(recording, images, raw)
    if topic is not taken:
        return f'{taken.name} has the same images' + (
            f', and {recording.count(taken)} of them instead of {recording.count(topic)}'
            if topic is raw else '')
    return _why_unreadable(recording, topic)


def _has_images_of(topic: Topic, above: str) -> bool:
    """Tell whether a topic is a transport of the raw images of the topic above it.

    Other transports than compressed write CompressedImage beside the raw images, such as zstd.
    """
    return topic.name.rpartition('/')[0] == above and (
        topic.type == IMAGE_TYPES[1] or above == base_of(topic.name))


def _fullest(recording: Recording, images: dict[str, Topic], raw: Topic) -> Topic:
    """Return the raw images, or the transport of them that clearly more arrived of."""
    fuller = [topic for topic in images.values() if _has_images_of(topic, raw.name)
              and recording.count(topic) >= max(1, _CLEARLY_MORE * recording.count(raw))
              and not _why_unreadable(recording, topic)]
    return max(fuller, key=recording.count, default=raw)


def _why_unreadable(recording: Recording, topic: Topic) -> str:
    """Return why no frame of a camera can be read from a topic of images, or ''."""
    reasons = []
    for message in islice(_first_messages(recording, topic), _LOOKED_AT):
        if not (reason := _why_never_read(message, topic.type)):
            return ''
        reasons.append(reason)
    if reasons:
        return reasons[0]
    count = recording.count(topic)
    return f'none of its {count} messages can be read' if count else 'it has no message'


def _why_never_read(message: object, message_type: str) -> str:
    """Return why images of the kind of a message are no frames of a camera, or ''."""
    if message_type == IMAGE_TYPES[1]:
        return why_never_read(CompressedFile(message.data, message.format))
    try:
        find_encoding(message.encoding)
    except EncodingError:
        return (f"it is depth, '{message.encoding}'"
                if message.encoding.lower() in _DEPTH_ENCODINGS
                else f"'{message.encoding[:40]}' is no color or gray image")
    return ''


def _sign_of_node(recording: Recording, topic: Topic) -> str:
    """Return the topic that shows that images are an output of a node like ours, or ''."""
    base = base_of(topic.name)
    folder, _, name = base.rpartition('/')
    beside = {f'{folder}/{sign}' for sign in _SIGNS} - {base} if name in _IMAGE_OUTPUTS else ()
    return next((other.name for other in recording.topics if base_of(other.name) in beside), '')


def _first_messages(recording: Recording, topic: Topic) -> Iterator[object]:
    """Yield the messages of a topic that can be read."""
    for _, _, data in recording.messages([topic]):
        try:
            yield typestore().deserialize_cdr(data, topic.type)
        except Exception:  # rosbags has no narrower class; a bad message is named when it is due
            continue
