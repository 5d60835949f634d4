"""One table of parameters: the node, config/segment.yaml and the README must say the same."""

import re
from pathlib import Path

import pytest
import yaml

from enet_ros.cli.main import main
from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.network.class_map import ClassMap
from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.parameters.settings import (
    BY_NAME,
    PARAMETERS,
    ConfigError,
    NodeSettings,
    check_parameter,
    make_settings,
)
from enet_ros.perception.parameters.table import Changes, Parameter

REPOSITORY = Path(__file__).resolve().parents[3]


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


def printed(capsys, *options):
    """What ``enet-ros params`` prints."""
    assert main(['params', *options]) == 0
    return capsys.readouterr().out


def test_the_parameter_file_is_what_the_command_prints(capsys):
    assert (REPOSITORY / 'config' / 'segment.yaml').read_text() == printed(capsys, '--yaml')


def test_the_readme_has_the_table_that_the_command_prints(capsys):
    text = (REPOSITORY / 'README.md').read_text()
    table = text[text.index('<!-- params begin -->\n'):text.index('<!-- params end -->')]
    assert table.removeprefix('<!-- params begin -->\n') == printed(capsys, '--markdown')


def test_the_command_prints_every_parameter_for_a_person(capsys):
    lines = printed(capsys).splitlines()
    for name in BY_NAME:
        assert any(line.startswith(f'{name}: ') for line in lines), name
    assert max(map(len, lines)) <= 80


def test_the_readme_names_what_each_camera_may_have_of_its_own():
    text = (REPOSITORY / 'README.md').read_text()
    text = text[text.index('**Several cameras.**'):text.index('<!-- params end -->')]
    names = re.findall(r'`([a-z_]+(?:\.\*)?)`', text)
    assert sorted(names) == ['bit_depth', 'confidence_floor', 'drivable.*', 'frozen_timeout',
                             'grid.*', 'ground.*', 'rectified', 'rotate', 'scan.*',
                             'suspect_frames', 'tf_timeout', 'valid_mask']
    assert {parameter.name for parameter in PARAMETERS if parameter.per_camera} == {
        name for name in BY_NAME if name in names or name.partition('.')[0] + '.*' in names}


@pytest.mark.parametrize('parameter', PARAMETERS, ids=BY_NAME)
def test_a_description_is_of_short_sentences(parameter):
    for sentence in re.split(r'(?<=\.) ', parameter.description):
        assert sentence.endswith('.') and len(sentence.split()) <= 25, sentence


def wanted_values(parameter):
    """What a value may be, as the README says it."""
    if parameter.choices:
        return ', '.join(f'`{choice}`' for choice in parameter.choices)
    if parameter.range:
        return f'{parameter.range[0]} to {parameter.range[1]}'
    return {'cameras': 'names', 'autostart': '`true`, `false`', 'weights': 'path or name',
            'resolution': 'multiples of 8', 'drivable.connected': '`true`, `false`',
            'drivable.seed': '0 to 1', 'rectified': '`true`, `false`', 'base_frame': 'a frame',
            'odom_frame': 'a frame, or empty'}.get(parameter.name, parameter.accepts)


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
    ('resolution', 640, 'resolution is 640, wanted width and height'),
    ('backend', 'tpu', "backend is 'tpu', wanted one of auto"),
    ('rotate', 90, 'rotate is 90, wanted one of 0, 180'),
    ('confidence_floor', 1.5, 'confidence_floor is 1.5, wanted 0.0 to 1.0'),
    ('confidence_floor', -0.1, 'confidence_floor is -0.1, wanted 0.0 to 1.0'),
    ('confidence_floor', float('nan'), 'confidence_floor is nan'),
    ('threads', 2.5, 'threads is 2.5, wanted a whole number, 0 to 256'),
    ('autostart', 'yes', "autostart is 'yes', wanted true or false$"),
    ('cameras', [], r"cameras has no value, or an empty list, wanted a list of .*such as \[''\]"),
    ('cameras', None, 'cameras has no value, or an empty list'),
    ('cameras', [True, False], r'cameras is \[true, false\], wanted .*write the text in quotes'),
    ('cameras', [1, 2], r'cameras is \[1, 2\], wanted a list of .*write the text in quotes'),
    ('weights', 1, 'weights is 1, wanted text, path or name; write the text in quotes'),
    ('weights', None, 'weights has no value'),
    ('weights', True, 'weights is true, wanted text.*: write the text in quotes'),
    ('ground.pose', True, 'ground.pose is true, wanted text, one of off.*: write the'),
    ('backend', 1, 'backend is 1, wanted text, one of auto'),
    ('ground.height', float('inf'), 'ground.height is inf, wanted'),
    ('ground.height', float('nan'), 'ground.height is nan, wanted'),
    ('ground.height', 10**400, 'ground.height is 1'),
    ('ground.height', True, 'ground.height is true, wanted a number, 0.01 to 100.0'),
    ('ground.height', 'high', "ground.height is 'high', wanted a number"),
    ('drivable.seed', [float('nan'), 0.5], 'drivable.seed is .*wanted x and y from 0 to 1'),
    ('drivable.majority', float('inf'), 'drivable.majority is inf, wanted a whole number'),
    ('drivable.majority', 1e30, 'drivable.majority is 1'),
    ('cameras', ['a', 'a'], 'wanted names that differ'),
    ('cameras', ['a', ''], "cameras names ''"),
    ('cameras', ['class_map'], r"cameras names 'class_map', wanted another .* class_map\.\* are"),
    ('cameras', ['front', 'qos_overrides'], "cameras names 'qos_overrides', wanted another name"),
    ('cameras', ['front/left'], "cameras names 'front/left'"),
    ('cameras', ['zurück'], "cameras names 'zurück', wanted letters, digits"),
    ('cameras', ['1st'], "cameras names '1st'"), ('cameras', ['_front'], "cameras names '_front'"),
])
def test_values_that_cannot_be_used_are_refused_by_name(name, value, message):
    with pytest.raises(ConfigError, match=message):
        make_settings({name: value})


@pytest.mark.parametrize(('values', 'message'), [
    ({'resolution': 'ab'}, "resolution is 'ab', wanted a list of whole numbers, multiples of 8"),
    ({'resolution': ['a', 'b']}, 'wanted a list of whole numbers'),
    ({'drivable.seed': [True, 0.5]}, 'drivable.seed is .*wanted a list of numbers'),
    ({'drivable.seed': [0.5]}, 'drivable.seed is .0.5., wanted x and y from 0 to 1'),
    ({'drivable.seed': [0.5, 1.5]}, 'drivable.seed is .*wanted x and y from 0 to 1'),
    ({'threads': True}, 'threads is true, wanted a whole number'),
    ({'scan.angle_max': -3.0}, 'scan.angle_max is -3.0 with angle_min'),
    ({'scan.range_min': 30.0}, 'scan.range_min is 30.0 and range_max 20.0'),
    ({'scan.range_min': 20.0}, 'scan.range_min is 20.0 and range_max 20.0'),
    ({'base_frame': ''}, "base_frame is '', wanted the name of a frame"),
    ({'base_frame': ' / '}, "base_frame is ' / ', wanted the name of a frame"),
    ({'odom_frame': '/'}, "odom_frame is '/', wanted the name of a frame"),
    ({'odom_frame': ' '}, "odom_frame is ' ', wanted the name of a frame"),
])
def test_values_that_do_not_go_together_are_refused_by_name(values, message):
    with pytest.raises(ConfigError, match=message):
        make_settings(values)


def test_groups_of_settings_are_nested_and_check_themselves():
    settings = make_settings({'ground.height': 2, 'drivable.seed': [0, 0.5]})
    assert settings.ground.height == 2.0 and type(settings.ground.height) is float
    assert settings.drivable.seed == (0.0, 0.5)
    assert make_settings({}) == NodeSettings()
    with pytest.raises(ConfigError, match='confidence_floor is 2.0'):
        NodeSettings(confidence_floor=2.0)


CLASS_MAP = ClassMap.from_names(('Sky', 'Road'))


def test_the_scan_of_a_camera_ends_where_its_ground_does():
    camera = CameraSettings.of(make_settings({'ground.max_range': 9.0}), CLASS_MAP)
    assert camera.settings.scan.range_max == 9.0
    with pytest.raises(ConfigError, match='scan.range_min is 10.0 and ground.max_range 9.0, '
                                          'wanted scan.range_min below it'):
        CameraSettings.of(make_settings({'ground.max_range': 9.0, 'scan.range_min': 10.0}),
                          CLASS_MAP)


@pytest.mark.parametrize(('length', 'width', 'resolution', 'reason'), [
    (1000.0, 1000.0, 0.1, '100,000,000 cells, wanted at most'),
    (0.1, 20.0, 1.0, 'and at least one cell')])
def test_a_grid_of_too_many_or_no_cells_is_refused_by_its_parameters(
        length, width, resolution, reason):
    settings = make_settings({'grid.length': length, 'grid.width': width,
                              'grid.resolution': resolution})
    with pytest.raises(ConfigError, match=f'grid.length is {length}, grid.width {width} and '
                                          f'grid.resolution {resolution}: .*{reason}'):
        CameraSettings.of(settings, CLASS_MAP)


@pytest.mark.parametrize(('length', 'width', 'resolution'), [
    (400.0, 1.0, 0.01), (1000.0, 4.0, 0.1), (400.0, 2.0, 0.02), (200.0, 200.0, 0.1)])
def test_a_grid_that_grows_too_large_in_the_odometry_frame_is_refused(length, width, resolution):
    values = {'grid.length': length, 'grid.width': width, 'grid.resolution': resolution}
    assert CameraSettings.of(make_settings(values), CLASS_MAP).grid.size_m == (length, width)
    with pytest.raises(ConfigError, match=f'grid.length is {length}, grid.width {width}, '
                                          f"grid.resolution {resolution} and odom_frame 'odom': "
                                          'rotated by 45 degrees .* wanted at most 4,000,000'):
        CameraSettings.of(make_settings({**values, 'odom_frame': 'odom'}), CLASS_MAP)
    values['grid.length'] = 2828 * resolution - width
    CameraSettings.of(make_settings({**values, 'odom_frame': 'odom'}), CLASS_MAP)


def test_settings_of_a_camera_are_compared_by_identity():
    first, second = (CameraSettings.of(make_settings({}), CLASS_MAP) for _ in range(2))
    assert first == first and first != second
    assert first.grid == second.grid and first.settings == second.settings
    assert first.drivable_lut[:3].tolist() == [0, 255, 0]


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="unknown parameter 'resolutoin'"):
        make_settings({'resolutoin': [640, 360]})


@pytest.mark.parametrize(('name', 'value', 'expected'), [
    ('ground.height', 2, 2.0), ('confidence_floor', 1, 1.0), ('confidence_floor', 0, 0.0),
    ('ground.height', '1.5', 1.5), ('drivable.seed', [0, 1], (0.0, 1.0)), ('threads', 2.0, 2),
    ('threads', '2', 2), ('resolution', [640.0, 360.0], (640, 360)), ('ground.pose', False, 'off'),
    ('cameras', 'front', ('front',)), ('autostart', 1, True), ('autostart', 'False', False),
    ('rotate', 180.0, 180), ('drivable.connected', 0, False)])
def test_a_value_with_one_meaning_is_taken(name, value, expected):
    found = check_parameter(name, value)
    assert found == expected and type(found) is type(expected)


def test_a_choice_that_yaml_reads_as_a_value_is_taken_where_it_is_the_only_one():
    def taken(value, *choices):
        return Parameter('p', choices[0], '', Changes.ANY_TIME, choices=choices).checked(value)

    assert taken(False, 'auto', 'no', 'maybe') == 'no'
    assert taken(True, 'ON', 'warn') == 'ON'
    assert taken(12, 'auto', '8', '12') == '12'
    for value, choices in ((False, ('off', 'no')), (True, ('off', 'auto')), (13, ('auto', '12'))):
        with pytest.raises(ConfigError, match='p is (false|true|13), wanted text, .*quotes'):
            taken(value, *choices)


def test_integers_serve_as_floats_and_lists_as_tuples():
    assert check_parameter('confidence_floor', 1) == 1.0
    assert make_settings({'cameras': ['front', 'left_2']}).cameras == ('front', 'left_2')
    assert make_settings({}).resolution == (640, 360)
