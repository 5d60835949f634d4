"""Names of parameters: which row describes them, and what is said of a name that is not known."""

import pytest

from enet_ros.perception.parameters.names import (
    checked_values,
    class_map_changes,
    explain_unknown,
    is_of_another_node,
)
from enet_ros.perception.parameters.settings import BY_NAME
from enet_ros.perception.parameters.table import ConfigError

CAMERAS = ('front', 'left')


@pytest.mark.parametrize(('name', 'remark'), [
    ('groud.height', "; did you mean 'ground.height'?"),
    ('left.groud.height', "; did you mean 'left.ground.height'?"),
    ('left.ground.height', '; left can have a ground.height of its own only if one is given at '
                           'the start'),
    ('front.resolution', "; resolution holds for all cameras, so write 'resolution'"),
    ('image', '; it is a topic, so remap it: -r image:=TOPIC'),
    ('rihgt.ground.height', "; the parameter cameras names no 'rihgt', only front, left"),
    ('zzzzzz', ''), ('left.zzzzzz', '')])
def test_a_name_that_is_not_known_is_explained_within_its_own_camera(name, remark):
    known = [*BY_NAME, 'front.ground.height']
    assert explain_unknown(name, CAMERAS, known) == f"parameter '{name}' is not known{remark}"


def test_a_parameter_of_one_camera_where_none_is_named_is_explained():
    assert explain_unknown('front.ground.height', [''], BY_NAME).endswith(
        "is not known; the parameter cameras names no 'front'")


def test_values_are_checked_and_those_of_rclpy_left_out():
    values = {'use_sim_time': True, 'qos_overrides./image.subscription.depth': 3,
              'left.ground.height': 2, 'class_map.Road.drivable': True}
    assert checked_values(values, CAMERAS) == {
        'left.ground.height': 2.0, 'class_map.Road.drivable': True}


@pytest.mark.parametrize(('values', 'said'), [
    ({'left.resolution': [640, 360]}, "parameter 'left.resolution' is not known"),
    ({'ground.hieght': 1.0}, "parameter 'ground.hieght' is not known; did you mean"),
    ({'confidence_floor': 2.0}, 'confidence_floor is 2.0')])
def test_a_name_or_value_that_cannot_be_used_is_refused(values, said):
    with pytest.raises(ConfigError, match=said):
        checked_values(values, CAMERAS)


def test_all_values_of_a_class_are_found_although_its_name_has_a_point():
    values = {'class_map.Road.color': [1, 2, 3], 'class_map.Road.drivable': True,
              'class_map.St._Road.drivable': False, 'ground.height': 1.0}
    assert class_map_changes(values) == {'Road': {'color': [1, 2, 3], 'drivable': True},
                                         'St._Road': {'drivable': False}}


@pytest.mark.parametrize(('name', 'is_theirs'), [
    ('controller_frequency', True), ('amcl.alpha1', True), ('ground.height', False),
    ('ground.zzzzzz', False), ('groud.height', False), ('left.zzzzzz', False),
    ('class_map.Car.zzzzzz', False), ('use_sim_time', False)])
def test_a_name_that_resembles_none_of_ours_is_of_another_node(name, is_theirs):
    assert is_of_another_node(name, CAMERAS) == is_theirs
