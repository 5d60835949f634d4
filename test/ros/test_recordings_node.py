"""A labeled recording beside the live node: the same frames give the same messages."""

import math

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('rosbags', reason='the extra bag is not installed')

from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402
from support import recordings  # noqa: E402

from enet_ros.cli.main import main  # noqa: E402
from enet_ros.recordings.outputs import OUTPUTS  # noqa: E402
from enet_ros.ros.outputs import OUTPUTS as NODE_OUTPUTS  # noqa: E402

pytestmark = pytest.mark.ros
GROUND = {'ground.pose': 'parameters', 'ground.height': float(recordings.SCENE.camera.height_m),
          'ground.pitch': float(recordings.SCENE.camera.pitch_rad)}


def as_params(path, **values):
    path.write_text('/enet:\n  ros__parameters:\n' + ''.join(
        f'    {name}: {value}\n' for name, value in values.items()))
    return path


def labeled(tmp_path, rows, **values):
    """Return {output: serialized messages} of ``enet-ros bag``."""
    path = recordings.write(tmp_path / 'drive', rows)
    params = as_params(tmp_path / 'params.yaml', **values)
    assert main(['bag', str(path), '-o', str(tmp_path / 'out'), '--params', str(params),
                 '--outputs', ','.join(OUTPUTS)]) == 0
    found = {}
    for topic, _, _, data in recordings.read(tmp_path / 'out'):
        found.setdefault(topic.removeprefix('/enet/'), []).append(data)
    return found


def play(node, rows, outputs):
    """Send the recorded messages to the node; return {output: messages}, one for each frame."""
    kinds = {'sensor_msgs/msg/Image': Image, 'sensor_msgs/msg/CompressedImage': CompressedImage,
             'sensor_msgs/msg/CameraInfo': CameraInfo}
    found = {name: [] for name in outputs}
    for topic, kind, _, message in rows:
        if kind not in kinds:
            continue
        data = bytes(recordings.store().serialize_cdr(message, kind))
        sent = deserialize_message(data, kinds[kind])
        if kind.endswith('CameraInfo'):
            node.send(sent, topic.lstrip('/'))
            node.wait(lambda: node.camera.calibration.newest() is not None)
            continue
        replies = node.reply(sent, *outputs, to=topic.lstrip('/'))
        for name, reply in zip(outputs, replies):
            found[name].append(reply)
    return found


def assert_equal(one, other, where):
    """Compare two messages of ROS field by field; NaN equals NaN."""
    if hasattr(one, 'get_fields_and_field_types'):
        for name in one.get_fields_and_field_types():
            assert_equal(getattr(one, name), getattr(other, name), f'{where}.{name}')
    elif isinstance(one, (list, tuple)) and one and hasattr(one[0], 'get_fields_and_field_types'):
        assert len(one) == len(other), where
        for i, (left, right) in enumerate(zip(one, other)):
            assert_equal(left, right, f'{where}[{i}]')
    elif isinstance(one, (str, bytes)):
        assert one == other, where
    elif isinstance(one, float):
        assert one == other or math.isnan(one) and math.isnan(other), where
    else:
        assert np.array_equal(np.asarray(one), np.asarray(other),
                              equal_nan=np.asarray(one).dtype.kind == 'f'), where


def test_the_tables_have_the_same_outputs():
    assert {*OUTPUTS} | {'timing'} == {*NODE_OUTPUTS}
    for name, output in OUTPUTS.items():
        other = NODE_OUTPUTS[name]
        assert (output.needs, output.uses) == (other.needs, other.uses)
        package, _, kind = output.type.split('/')
        assert (other.message_type.__module__.split('.')[0], other.message_type.__name__) \
            == (package, kind)


@pytest.mark.parametrize('settings', [
    {'output_size': 'input', 'drivable.majority': 3},
    {'output_size': 'network', 'confidence_floor': 0.6, 'drivable.connected': True,
     'grid.resolution': 0.2, 'rotate': 180}])
def test_every_output_is_that_of_the_live_node(bench, tmp_path, settings):
    rows = recordings.street(5, meters=True, encoding='bgr8')
    values = {'resolution': [160, 96], 'precision': 'float32', **GROUND, **settings}
    ours = labeled(tmp_path, rows, **values)
    node = bench(**values)
    node.listen(*OUTPUTS)
    live = play(node, rows, list(OUTPUTS))
    for name in OUTPUTS:
        assert len(live[name]) == len(ours[name]) == 5
        for i, (message, data) in enumerate(zip(live[name], ours[name])):
            assert_equal(message, deserialize_message(data, type(message)), f'{name} {i}')
            # the same bytes, but for what CDR leaves undefined between fields
            assert len(serialize_message(message)) == len(data), name


def test_labels_of_compressed_images_and_of_the_default_precision_are_those_of_the_node(
        bench, tmp_path):
    rows = recordings.street(3, ('/image/compressed',), kind='sensor_msgs/msg/CompressedImage')
    values = {'resolution': [640, 360], 'precision': 'auto'}
    ours = labeled(tmp_path, rows, **values)
    node = bench(image_transport='compressed', **values)
    node.listen('labels', 'drivable_mask')
    live = play(node, rows, ['labels', 'drivable_mask'])['labels']
    for message, data in zip(live, ours['labels'], strict=True):
        assert_equal(message, deserialize_message(data, Image), 'labels')
