"""The reference of topics and messages: docs/messages.md.

Types, conditions and quality of service come from what the node itself uses. The fields of the
package's own messages come from their definitions.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from rclpy.qos import QoSProfile

from enet_ros.perception.perceive import Need
from enet_ros.ros.outputs import OUTPUTS, Output
from enet_ros.ros.qos import INPUT_QOS, LATCHED_QOS, OUTPUT_QOS
from enet_ros.ros.tools.message_notes import NOT_USED, NOTES

WIDTH = 100   # columns
PACKAGE = 'enet_ros'
#: A field of a definition, or a comment that goes on.
DEFINITION_LINE = re.compile(r'^(?:(?P<type>[\w/\[\]]+)\s+(?P<name>\w+))?\s*#\s*(?P<comment>.*)$')
HEAD = """\
# Messages

This page is for anyone who reads the topics of the node. It ends with each field of each message,
with its unit. `enet-ros messages` prints this page from the code, and a test compares them.

Names are those of one camera. With `cameras: [front]` the inputs are `front/image` and
`front/camera_info`, and the outputs are `~/front/labels` and so on. `~` is the name of the node
with its namespace, `/enet` by default. [downstream.md](downstream.md) says how to read each output
in Python, and [ground.md](ground.md) what the outputs in meters mean."""
#: Need -> when a message is published at all.
NEEDED = {Need.CALIBRATION: 'if a `camera_info` has arrived that can be true, or is all zero',
          Need.GROUND: 'if there is a ground: `ground.pose` is not off, the calibration is '
                       'usable, and the pose is known'}
INPUTS = (
    ('image', 'sensor_msgs/Image', 'The camera, with `image_transport: raw`. '
     '[images.md](images.md) lists the encodings.'),
    ('image/compressed', 'sensor_msgs/CompressedImage',
     'The camera, with `image_transport: compressed`. [images.md](images.md) lists the formats.'),
    ('camera_info', 'sensor_msgs/CameraInfo',
     'The calibration. Only `~/camera_info` and the outputs in meters need it.'))
#: The outputs that are not made from a frame.
OTHER_OUTPUTS = (
    ('~/label_info', 'vision_msgs/LabelInfo', LATCHED_QOS,
     'Once at each activation, where vision_msgs is installed.',
     (('header', 'Time of the activation, without a frame_id.'),
      ('class_map', 'class_id and class_name of each class in `~/labels`. Classes that mean *not '
                    'labeled* are left out; their pixels are 255.'),
      ('threshold', NOT_USED))),
    ('/diagnostics', 'diagnostic_msgs/DiagnosticArray', OUTPUT_QOS,
     'Every diagnostics_period while the node is active, and every half second of a long '
     'configuration.',
     (('header', 'Time of the node, without a frame_id.'),
      ('status', 'One for each camera. [troubleshooting.md](troubleshooting.md) explains every '
                 'message in it. The values are texts; names that end in `_ms` are milliseconds, '
                 'and names that end in `_hz` are per second.'))))


def page_lines() -> Iterator[str]:
    """Yield the lines of the page."""
    yield from HEAD.splitlines()
    yield from _inputs()
    yield from _overview()
    for output in OUTPUTS.values():
        yield from _section(output)
    for topic, type_name, qos, when, fields in OTHER_OUTPUTS:
        yield from ('', f'## {topic}', '', f'`{type_name}`, {qos_text(qos)}.', '',
                    *textwrap.wrap(f'**Published:** {when}', WIDTH), '')
        yield from _table(('field', 'what'), ((f'`{name}`', what) for name, what in fields))


def type_name_of(output: Output) -> str:
    """Return the type of an output's messages, as package/Type."""
    kind = output.message_type
    return f'{kind.__module__.split(".")[0]}/{kind.__name__}'


def qos_text(qos: QoSProfile) -> str:
    """Return a quality of service in words."""
    return f'{qos.reliability.name}, {qos.durability.name}, depth {qos.depth}'.replace(
        '_', ' ').lower()


def definition_fields(name: str, definition: str) -> dict[str, tuple[str, str]]:
    """Return the fields of a message's definition.

    Args:
        name: Name of the message, for errors.
        definition: Text of its .msg file.

    Returns:
        Name of each field -> its type and its comment.

    Raises:
        ValueError: A field has no comment.
    """
    fields: dict[str, tuple[str, str]] = {}
    for line in filter(str.strip, definition.splitlines()):
        match = DEFINITION_LINE.match(line)
        if match is None:
            raise ValueError(f'{name}.msg: {line!r} has no comment, wanted one that says what the '
                             'field holds and its unit')
        if match['name']:
            fields[match['name']] = match['type'], match['comment']
        elif fields:
            last = next(reversed(fields))
            fields[last] = fields[last][0], f'{fields[last][1]} {match["comment"]}'
    return fields


def when_published(output: Output) -> str:
    """Return when an output is published, in a sentence or two."""
    conditions = [text for need, text in NEEDED.items() if need in output.needs]
    text = ', '.join(['For each segmented frame while someone subscribes', *conditions]) + '.'
    if output.after_sending:
        text += ' It is made after the raw outputs have been sent.'
    if Need.GROUND in output.uses:
        text += ' Fields in meters are empty or NaN without a ground.'
    also = NOTES[output.name].also
    return f'{text} {also}' if also else text


def _inputs() -> Iterator[str]:
    yield from ('', '## Inputs', '', f'Inputs are {qos_text(INPUT_QOS)}, which matches every '
                'publisher.', '')
    yield from _table(('topic', 'type', 'what'), (
        (f'`{topic}`', f'`{kind}`', what) for topic, kind, what in INPUTS))


def _overview() -> Iterator[str]:
    yield from ('', '## Outputs', '', *textwrap.wrap(
        f'Outputs are {qos_text(OUTPUT_QOS)}, except `~/label_info`, which is '
        f'{qos_text(LATCHED_QOS)}. `qos_overrides.<topic>.publisher.*` parameters change that.',
        WIDTH), '')
    yield from _table(('topic', 'type', 'encoding or format'), (
        (f'[`~/{output.name}`](#{_anchor(output.name)})', f'`{type_name_of(output)}`',
         NOTES[output.name].encoding) for output in OUTPUTS.values()))


def _section(output: Output) -> Iterator[str]:
    yield from ('', f'## ~/{output.name}', '',
                f'`{type_name_of(output)}`, {qos_text(OUTPUT_QOS)}. {NOTES[output.name].summary}',
                '', *textwrap.wrap(f'**Published:** {when_published(output)}', WIDTH), '')
    kinds = output.message_type.get_fields_and_field_types()
    if type_name_of(output).startswith(f'{PACKAGE}/'):
        name = output.message_type.__name__
        path = Path(get_package_share_directory(PACKAGE), 'msg', f'{name}.msg')
        texts = {field: comment for field, (_, comment)
                 in definition_fields(name, path.read_text()).items()}
    else:
        texts = NOTES[output.name].fields
    yield from _table(('field', 'type', 'what'), (
        (f'`{field}`', f'`{kind}`', texts[field]) for field, kind in kinds.items()))


def _anchor(name: str) -> str:
    """Return the anchor of a section, as GitHub and the site make it."""
    return name.replace('/', '')


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f'| {" | ".join(head)} |'
    yield f'|{"---|" * len(head)}'
    yield from (f'| {" | ".join(row)} |' for row in rows)
