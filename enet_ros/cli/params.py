"""``enet-ros params``: print the parameters of the node."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Iterator

from enet_ros.perception.parameters.settings import PARAMETERS, NodeSettings
from enet_ros.perception.parameters.table import Changes, Parameter, groups_of

DESCRIPTION = """\
Print every parameter of segment_node: its default, its allowed values, when it may change and
what it does. The text comes from the table that the node itself declares.

examples:
  enet-ros params                     # to read
  enet-ros params --yaml > own.yaml   # a parameter file to change
  ros2 launch enet_ros segment.launch.py params_file:=$PWD/own.yaml

A test compares config/segment.yaml with the output of --yaml, and the README with --markdown."""

YAML_WIDTH, MARKDOWN_WIDTH, TEXT_WIDTH = 99, 100, 80   # columns

YAML_HEAD = """\
# Parameters of segment_node. Every value in this file is the default.
# Keep what you change, and remove the rest. `enet-ros params --yaml` prints this file.
# `/**` stands for every name and namespace of the node.
# Per camera: one camera may have its own value, such as front: {ground: {height: 1.2}}.
/**:
  ros__parameters:"""

YAML_CLASS_MAP = (
    'The class map comes with the weights. Remove the # of single lines to change them. The names '
    'are those of the weights, with _ for a space. These are the classes of enet_camvid. Colors '
    'are red, green and blue.')

MARKDOWN_HEAD = """\
| parameter | default | may be | changes | what |
|---|---|---|---|---|"""

CHANGES = {Changes.AT_START: ' Fixed at the start.',
           Changes.UNCONFIGURED: ' Changes only while the node is unconfigured.',
           Changes.ANY_TIME: ''}

#: Plain words that YAML does not read as text.
YAML_WORDS = {'true', 'false', 'yes', 'no', 'on', 'off', 'null', 'y', 'n'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument('--yaml', action='store_true',
                         help='print a parameter file with comments: config/segment.yaml')
    formats.add_argument('--markdown', action='store_true',
                         help="print the README's table")


def run(args: argparse.Namespace) -> int:
    """Print the table; returns the exit code."""
    lines = yaml_lines() if args.yaml else markdown_lines() if args.markdown else text_lines()
    try:
        print('\n'.join(lines), flush=True)
    except BrokenPipeError:  # The reader has enough, such as `head`. Exit would flush once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def text_lines() -> Iterator[str]:
    """Yield the lines for a person who reads them in a terminal."""
    for row in PARAMETERS:
        yield f'{row.name}: {yaml_value(row.default)}'
        for text in (row.description, describe_values(row)):
            yield from textwrap.wrap(text, TEXT_WIDTH, initial_indent='    ',
                                     subsequent_indent='    ', break_on_hyphens=False)
        yield ''


def markdown_lines() -> Iterator[str]:
    """Yield the lines of the README's table, and what a camera may have of its own."""
    yield from MARKDOWN_HEAD.splitlines()
    for row in PARAMETERS:
        values = ('true', 'false') if isinstance(row.default, bool) else row.choices
        accepted = ', '.join(f'`{value}`' for value in values) if values else row.wanted()
        yield (f'| `{row.name}` | `{yaml_value(row.default)}` | {accepted} | {row.changes.value} '
               f'| {row.description} |')
    yield ''
    own = dict.fromkeys(row.name.partition('.')[0] + '.*' * ('.' in row.name)
                        for row in PARAMETERS if row.per_camera)
    names = ', '.join(f'`{name}`' for name in own)
    yield from textwrap.wrap(
        f'**Several cameras.** `<camera>.<parameter>` gives one camera its own value of {names}. '
        'Such a value can change at any time if the node was started with one.', MARKDOWN_WIDTH,
        break_on_hyphens=False)


def yaml_lines() -> Iterator[str]:
    """Yield the lines of config/segment.yaml."""
    yield from YAML_HEAD.splitlines()
    last_group = ''
    for row in PARAMETERS:
        group, _, key = row.name.rpartition('.')
        indent = '      ' if group else '    '
        if group not in ('', last_group):
            description = groups_of(NodeSettings)[group].metadata['group']
            yield from ('', *yaml_comment(description, '    '), f'    {group}:')
        elif not group and row is not PARAMETERS[0]:
            yield ''
        yield from yaml_comment(row.description, indent)
        yield from yaml_comment(describe_values(row), indent)
        yield f'{indent}{key}: {yaml_value(row.default)}'
        last_group = group
    yield from ('', *yaml_class_map())


def yaml_class_map() -> Iterator[str]:
    """Yield the class map of the weights that ship, as comments."""
    from enet_ros.network.checkpoint import read_checkpoint, weights_path
    from enet_ros.network.class_names import parameter_name

    yield from yaml_comment(YAML_CLASS_MAP, '    ')
    yield '    # class_map:'
    class_map = read_checkpoint(weights_path('')).class_map
    for name, color, drivable in zip(class_map.names, class_map.colors, class_map.drivable):
        yield (f'    #   {parameter_name(name)}: {{color: {yaml_value(list(color))}, '
               f'drivable: {yaml_value(drivable)}}}')


def yaml_comment(text: str, indent: str) -> list[str]:
    """Return a text as comment lines."""
    return textwrap.wrap(text, YAML_WIDTH, initial_indent=f'{indent}# ',
                         subsequent_indent=f'{indent}# ', break_on_hyphens=False)


def yaml_value(value: object) -> str:
    """Return a value as YAML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f'[{", ".join(map(yaml_value, value))}]'
    if isinstance(value, str) and (not value or value in YAML_WORDS):
        return f"'{value}'"
    return str(value)


def describe_values(row: Parameter) -> str:
    """Return what a value may be and when it may change."""
    values = ', '.join(map(str, row.choices)) if row.choices else row.wanted()
    return (f'Values: {values}.' + (' Per camera.' if row.per_camera else '')
            + CHANGES[row.changes])
