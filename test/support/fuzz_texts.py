"""Cases for class maps and parameter files: YAML, JSON and plain text."""

from __future__ import annotations

import atexit
import json
import os
import tempfile
from functools import cache
from pathlib import Path

import yaml
from support.fuzz_bytes import damaged, with_words

from enet_ros.network.class_files import read_class_file, read_class_sets
from enet_ros.perception.parameters.files import values_of_node
from enet_ros.perception.parameters.settings import BY_NAME, make_settings
from enet_ros.perception.parameters.table import ConfigError

#: Words that YAML or JSON reads as something unusual, and names that are no text to show.
WORDS = (
    'null',
    '~',
    'true',
    'yes',
    'off',
    '.nan',
    '-.inf',
    '1e999',
    '-1',
    '256',
    '0x1F',
    '0b12',
    '0o9',
    '1_000',
    '2001-99-99',
    '2001-01-01',
    '12:30:45',
    '!!binary aGk=',
    '!!set {a}',
    '!!python/object/apply:os.system [id]',
    '!!int x',
    '!!float x',
    '!!timestamp x',
    '!!omap',
    '0x' + 'F' * 6000,
    '&a',
    '*a',
    '*missing',
    '<<: *a',
    '{}',
    '[]',
    '[',
    '{',
    ']',
    '}',
    '{a: b, a: c}',
    '? x',
    '"\\ud800"',
    '"\\0"',
    '"\\n"',
    '""',
    "''",
    '|',
    '>',
    '%YAML 9.9',
    '---',
    '...',
    '9' * 400,
    '9' * 5000,
    '\u20ac',
    '\u202e',
    'NaN',
    'Infinity',
    '{"a": 1}',
    '[[1]]',
    'Road',
    '/**',
    'ros__parameters:',
    '!<tag:yaml.org,2002:str>',
    '#',
    '@',
    '`',
    ': :',
    '- -',
    '\ufeff',
)
ENDINGS = ('.yaml', '.json', '.txt', '.yml')
CLASSES = [
    {'name': 'Road', 'color': [128, 64, 128], 'drivable': True},
    {'name': 'Sky'},
    {'name': 'Car', 'color': [1, 2, 3]},
    {'name': 'any', 'one_of': ['Road', 'Car']},
]
PARAMETERS = {
    '/**': {
        'ros__parameters': {
            'weights': 'enet_camvid',
            'resolution': [640, 360],
            'threads': 2,
            'ground': {'height': 1.5, 'pose': 'off', 'pitch': -0.1},
            'drivable': {'majority': 3},
            'cameras': ['front', 'rear'],
            'front': {'ground': {'height': 2}},
            'class_map': {'Road': {'color': [1, 2, 3], 'drivable': True}},
        }
    }
}
VALUES = (
    None,
    True,
    False,
    0,
    -1,
    1,
    256,
    2**63,
    10**400,
    1.5,
    float('nan'),
    float('inf'),
    1e300,
    '',
    'Road',
    'Road ',
    'a\nb',
    '\0',
    '\x1b[31m',
    '\u20ac',
    'x' * 5000,
    'off',
    '1.0',
    [],
    {},
    [[]],
    [1, 2, 3],
    [1, 2],
    [1.0, 2, 3],
    [None],
    ['a', 1],
    {'a': {}},
    {'name': 'x'},
    list(range(300)),
)


@cache
def scratch_file(ending):
    """Return the path of a file in memory where that is possible, which goes away at the end."""
    folder = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    handle, path = tempfile.mkstemp(ending, 'fuzz', folder)
    os.close(handle)
    atexit.register(os.unlink, path)
    return Path(path)


def changed(rng, value, depth=0):
    """Return a tree of lists and dictionaries with a few nodes replaced, moved or taken away."""
    if rng.random() < (0.05, 0.08, 0.12, 0.2)[min(depth, 3)]:
        return rng.choice(VALUES)
    if isinstance(value, dict):
        items = [
            (
                rng.choice(VALUES[:18]) if rng.random() < 0.06 else key,
                changed(rng, item, depth + 1),
            )
            for key, item in value.items()
            if rng.random() > 0.04
        ]
        return {
            key if isinstance(key, (str, int, float, bool)) else str(key): item
            for key, item in items
        }
    if isinstance(value, list):
        items = [changed(rng, item, depth + 1) for item in value if rng.random() > 0.05]
        return items + items[:1] * rng.choice((0, 0, 0, 1, 300 if depth == 0 else 1))
    return value


def bomb(rng, key):
    """Return YAML whose aliases make a small file a huge or endless tree."""
    kind, levels, width = rng.randrange(4), rng.choice((3, 6, 9, 25)), rng.choice((2, 9))
    if kind == 0:
        return f'{key}: &a {{x: *a}}\n'
    if kind == 1:
        return f'{key}: &a [*a, *a]\n'
    lines, brackets = (
        ['l0: &l0 {x: 1}' if kind == 2 else 'l0: &l0 [x]'],
        '{}' if kind == 2 else '[]',
    )
    for level in range(1, levels):
        inside = ', '.join(
            f'k{i}: *l{level - 1}' if kind == 2 else f'*l{level - 1}' for i in range(width)
        )
        lines.append(f'l{level}: &l{level} {brackets[0]}{inside}{brackets[1]}')
    return '\n'.join((*lines, f'{key}: *l{levels - 1}')) + '\n'


def deep(rng):
    """Return brackets in brackets."""
    start = rng.choice(('[', '{"a":', '- ', '{a: ', '? ', '!!seq ['))
    return start * rng.choice((50, 900, 20_000, 120_000))


def _written(rng, tree, ending):
    """Return a tree as YAML, JSON or lines."""
    if ending == '.json':
        return json.dumps(tree, ensure_ascii=rng.random() < 0.5)
    if ending == '.txt':
        return '\n'.join(
            str(entry.get('name') if isinstance(entry, dict) else entry)
            for entry in (tree if isinstance(tree, list) else [tree])
        )
    return yaml.dump(
        tree, default_flow_style=rng.choice((None, True, False)), allow_unicode=rng.random() < 0.5
    )


def _text(rng, tree, ending, key):
    """Draw the content of a file."""
    kind = rng.random()
    if kind < 0.03:
        return deep(rng).encode()
    if kind < 0.07:
        return bomb(rng, key).encode()
    text = _written(rng, changed(rng, tree) if kind < 0.7 else tree, ending)
    if kind > 0.55:
        text = with_words(rng, text, WORDS)
    content = text.encode('utf-8', 'surrogatepass')
    if rng.random() < 0.05:
        content = text.encode('utf-16', 'surrogatepass')
    return damaged(rng, content) if kind > 0.85 else content


def draw_class_map(rng):
    """Draw a class file, with the number of its ending before it."""
    number = rng.choice((0, 0, 1, 1, 2, 3))
    return bytes([number]) + _text(rng, CLASSES, ENDINGS[number], 'name')


def run_class_map(content):
    """Read a class file as import and training do. Its names must be fit for ROS and a log."""
    path = scratch_file(ENDINGS[content[0] % len(ENDINGS)] if content else '.txt')
    path.write_bytes(content[1:])
    class_map = read_class_file(path)
    check_class_map(class_map)
    if path.suffix != '.txt':
        read_class_sets(path)


def check_class_map(class_map):
    """Check that a class map that was taken can be shown, published and set."""
    assert all(name.isprintable() for name in class_map.names), class_map.names
    assert class_map.color_lut().shape == (256, 3)
    assert not class_map.drivable_lut()[255]
    class_map.checked()


def draw_parameter_file(rng):
    """Draw a parameter file."""
    return _text(rng, PARAMETERS, '.yaml', '/**')


def run_parameter_file(content):
    """Read a parameter file, and take its values as warm and the node do."""
    from enet_ros.perception.parameters.names import find_row

    path = scratch_file('.yaml')
    path.write_bytes(content)
    values = values_of_node(path, '/segment_node')
    cameras = BY_NAME['cameras'].converted(values.get('cameras'))
    problems = []
    for name, value in values.items():
        row = find_row(name, cameras)
        try:
            if row is not None:
                row.checked(value)
        except ConfigError as error:
            problems.append(str(error))
    make_settings({name: value for name, value in values.items() if name in BY_NAME})
    if problems:
        raise ConfigError(problems[0])
