"""One table of parameters: the node, config/segment.yaml and the README must say the same."""

import re
from pathlib import Path

import pytest
import yaml

from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.perception.settings import (
    BY_NAME,
    PARAMETERS,
    ConfigError,
    check_parameter,
    make_settings,
)

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def yaml_parameters():
    content = yaml.safe_load((REPOSITORY / 'config' / 'segment.yaml').read_text())
    return content['/**']['ros__parameters']


def test_the_parameter_file_has_every_parameter_with_its_default(yaml_parameters):
    values = {}
    for name, value in yaml_parameters.items():
        nested = isinstance(value, dict)
        values.update({f'{name}.{key}': v for key, v in value.items()} if nested
                      else {name: value})
    assert values == {parameter.name: parameter.default for parameter in PARAMETERS}


def test_the_parameter_file_shows_the_shipped_class_map_and_sets_none_of_it(yaml_parameters):
    """Set, it would replace that of other weights, or stop them."""
    assert 'class_map' not in yaml_parameters
    text = (REPOSITORY / 'config' / 'segment.yaml').read_text()
    shown = text[text.index('    # class_map:\n'):].replace('    # ', '    ')
    class_map = read_checkpoint(weights_path('')).class_map
    assert yaml.safe_load(shown)['class_map'] == {
        name: {'color': list(color), 'drivable': drivable} for name, color, drivable
        in zip(class_map.names, class_map.colors, class_map.drivable)}


def test_every_value_of_the_parameter_file_has_a_comment():
    lines = (REPOSITORY / 'config' / 'segment.yaml').read_text().splitlines()
    for name in BY_NAME:
        group, _, key = name.rpartition('.')
        indent = '      ' if group else '    '
        start = lines.index(f'    {group}:') if group else 0
        index = next(i for i, line in enumerate(lines) if i >= start
                     and line.startswith(f'{indent}{key}:'))
        assert lines[index - 1].startswith(f'{indent}# '), name


def test_the_readme_lists_every_parameter_as_it_is():
    rows = re.findall(r'^\| `([\w.]+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$',
                      (REPOSITORY / 'README.md').read_text(), re.MULTILINE)
    assert [row[0] for row in rows] == list(BY_NAME)
    for name, default, wanted, changes, description in rows:
        parameter = BY_NAME[name]
        assert yaml.safe_load(default.strip('`')) == parameter.default, name
        assert wanted == wanted_values(parameter), name
        assert changes == parameter.changes.value, name
        assert description == parameter.description, name


def wanted_values(parameter):
    """What a value may be, as the README says it."""
    if parameter.choices:
        return ', '.join(f'`{choice}`' for choice in parameter.choices)
    if parameter.range:
        return f'{parameter.range[0]} to {parameter.range[1]}'
    return {'cameras': 'names', 'autostart': '`true`, `false`', 'weights': 'path or name',
            'resolution': 'multiples of 8', 'drivable.connected': '`true`, `false`',
            'drivable.seed': '0 to 1', 'rectified': '`true`, `false`', 'base_frame': 'a frame',
            'odom_frame': 'a frame, or empty'}[parameter.name]


def test_the_node_declares_every_parameter_with_its_default_and_description(bench):
    node = bench(start=False, resolution=[640, 360], precision='auto').node
    for parameter in PARAMETERS:
        value = node.get_parameter(parameter.name).value
        assert type(parameter.default)(value) == parameter.default, parameter.name
        descriptor = node.describe_parameter(parameter.name)
        assert descriptor.description == parameter.description
        assert descriptor.read_only == (parameter.changes.value == 'start')


def test_the_readme_lists_every_topic_as_it_is(bench):
    rows = dict(re.findall(r'^\| (?:in|out) `([^`]+)` \| `?([\w/]+)`? \|',
                           (REPOSITORY / 'README.md').read_text(), re.MULTILINE))
    node = bench().node
    found = {}
    for topics in (node.get_publisher_names_and_types_by_node('enet', '/'),
                   node.get_subscriber_names_and_types_by_node('enet', '/')):
        for topic, types in topics:
            name = topic.replace('/enet/', '~/', 1) if topic.startswith('/enet/') else topic
            found[name if name == '/diagnostics' else name.lstrip('/')] = types[0].replace(
                '/msg/', '/')
    own = {'rosout', 'parameter_events', '~/transition_event', 'clock'}
    documented = {name: kind for name, kind in rows.items()
                  if name not in ('image/compressed', '~/label_info')}
    found = {name: kind for name, kind in found.items() if name not in own | {'~/label_info'}}
    assert documented == found


@pytest.mark.parametrize(('name', 'value', 'message'), [
    ('resolution', [642, 360], 'resolution is 642x360, wanted .* such as 640x360'),
    ('resolution', [640], 'resolution is 640'),
    ('resolution', 640, 'resolution is 640, wanted list'),
    ('backend', 'tpu', "backend is 'tpu', wanted one of auto"),
    ('rotate', 90, 'rotate is 90, wanted one of 0, 180'),
    ('confidence_floor', 1.5, 'confidence_floor is 1.5, wanted 0.0 to 1.0'),
    ('confidence_floor', float('nan'), 'confidence_floor is nan'),
    ('threads', 2.0, 'threads is 2.0, wanted int'),
    ('autostart', 'yes', "autostart is 'yes', wanted bool"),
    ('cameras', [], 'cameras is empty'),
    ('cameras', ['a', 'a'], 'wanted names that differ'),
    ('cameras', ['a', ''], "cameras names ''"),
    ('cameras', ['front/left'], "cameras names 'front/left'"),
    ('cameras', ['1st'], "cameras names '1st'"),
])
def test_values_that_cannot_be_used_are_refused_by_name(name, value, message):
    with pytest.raises(ConfigError, match=message):
        make_settings({name: value})


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="unknown parameter 'resolutoin'"):
        make_settings({'resolutoin': [640, 360]})


def test_integers_serve_as_floats_and_lists_as_tuples():
    assert check_parameter('confidence_floor', 1) == 1.0
    assert make_settings({'cameras': ['front', 'left_2']}).cameras == ('front', 'left_2')
    assert make_settings({}).resolution == (640, 360)
