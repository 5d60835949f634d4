"""Messages that anyone may publish: none ends the viewer, an observer or the doctor."""

import array
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from support.absence import import_or_skip

import_or_skip('rclpy', 'rclpy is not installed: make setup')
rr = import_or_skip('rerun', 'rerun-sdk is not installed: scripts/setup.sh view')

import rclpy  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue  # noqa: E402
from enet_ros.msg import FrameTiming  # noqa: E402
from nav_msgs.msg import OccupancyGrid  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from rclpy.signals import SignalHandlerOptions  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image, LaserScan, PointCloud2  # noqa: E402

from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.ros.cdr import read_stamp_ns  # noqa: E402
from enet_ros.ros.graph_doctor import input_findings  # noqa: E402
from enet_ros.ros.graph_doctor.observation import COMPRESSED, INFO, Observation, Topic  # noqa: E402
from enet_ros.ros.graph_doctor.observer import open_observer  # noqa: E402
from enet_ros.ros.guarded import Guarded, reason_of  # noqa: E402
from enet_ros.ros.tools import view_messages  # noqa: E402
from enet_ros.ros.tools.observer import DemoObserver  # noqa: E402
from enet_ros.ros.tools.view_node import CameraView, DiagnosticsView  # noqa: E402
from enet_ros.ros.tools.view_target import CameraTopics  # noqa: E402
from enet_ros.view.drawing import CameraDrawing  # noqa: E402
from enet_ros.view.layout import SHOWN  # noqa: E402

NAN, INF = float('nan'), float('inf')
CAMERA = CameraTopics('', '/image', False, '/enet/')


class Drawing(CameraDrawing):
    """Remembers what was drawn."""

    def __init__(self):
        self.recording = rr.RecordingStream('test')
        self.recording.memory_recording()
        super().__init__(self.recording, '', ClassMap.from_names(['Sky', 'Road']), 0.5)
        self.drawn = []

    def _log(self, entity, shape, *, static=False):
        super()._log(entity, shape, static=static)
        if not static:
            self.drawn.append(entity)


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('view', context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


@pytest.fixture
def view(node):
    """Send a message to the viewer: view(topic, message) gives what was drawn of it."""
    drawing = Drawing()
    CameraView(node, CAMERA, SHOWN, 1e9, drawing)
    DiagnosticsView(node, SimpleNamespace(name='/enet', cameras=[CAMERA]), [drawing])
    callbacks = {one.topic_name: one.callback for one in node.subscriptions}

    def send(topic, message):
        drawing.drawn.clear()
        raw = topic != '/diagnostics' and not isinstance(message, bytes)
        callbacks[topic](serialize_message(message) if raw else message)
        return list(drawing.drawn)

    return send


def image(height=2, width=2, encoding='mono8', step=None, size=None, sec=1, nanosec=0):
    message = Image(height=height, width=width, encoding=encoding,
                    step=width if step is None else step)
    message.data = bytes(height * width if size is None else size)
    message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
    return message


def grid(height=2, width=2, size=4, resolution=0.1, x=0.0):
    message = OccupancyGrid(data=array.array('b', bytes(size)))
    message.info.height, message.info.width, message.info.resolution = height, width, resolution
    message.info.origin.position.x = x
    return message


def cloud(step=12, size=24, **options):
    return PointCloud2(point_step=step, width=2, height=1, row_step=2 * step, data=bytes(size),
                       **options)


def scan(ranges=(1.0, 2.0, 3.0), angle_min=0.0, increment=0.1, range_max=10.0):
    return LaserScan(angle_min=angle_min, angle_increment=increment, range_max=range_max,
                     ranges=array.array('f', np.asarray(ranges, np.float32)))


def diagnostics(sec=1, nanosec=0, level=b'\0', text='fine', **values):
    message = DiagnosticArray(status=[DiagnosticStatus(
        name='enet: segmentation', level=level, message=text,
        values=[KeyValue(key=key, value=value) for key, value in values.items()])])
    message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
    return message


HOSTILE = {
    'stamp before 1970': ('/enet/labels', image(sec=-5)),
    'nanoseconds of four seconds': ('/enet/labels', image(nanosec=4_000_000_000)),
    'camera before 1970': ('/image', image(encoding='mono8', sec=-2**31)),
    'no bytes': ('/enet/grid', b''),
    'no header': ('/enet/labels', b'\0\1\0\0'),
    'no CDR': ('/image', b'\7\7\7\7' * 9),
    'cut off': ('/enet/grid', b'\0\1\0\0' + bytes(8)),
    'labels without rows': ('/enet/labels', image(0, 9)),
    'mask without columns': ('/enet/drivable_mask', image(9, 0, step=3, size=27)),
    'confidence too wide': ('/enet/confidence', image(1, 70_000)),
    'labels cut off': ('/enet/labels', image(5, 5, size=24)),
    'grid cut off': ('/enet/grid', grid(3, 3, 8)),
    'grid of no cells': ('/enet/grid', grid(0, 2**32 - 1, 0)),
    'grid of 2**64 cells': ('/enet/grid', grid(2**32 - 1, 2**32 - 1, 8)),
    'grid too large': ('/enet/grid', grid(2001, 2000, 2001 * 2000)),
    'resolution NaN': ('/enet/grid', grid(resolution=NAN)),
    'resolution 0': ('/enet/grid', grid(resolution=0.0)),
    'origin infinite': ('/enet/grid', grid(x=INF)),
    'points of 0 bytes': ('/enet/obstacles', cloud(0)),
    'points of 6 bytes': ('/enet/obstacles', cloud(6)),
    'points of 8 bytes': ('/enet/obstacles', cloud(8)),
    'points of 13 bytes': ('/enet/obstacles', cloud(13, 26)),
    'points cut off': ('/enet/obstacles', cloud(16, 24)),
    'points big-endian': ('/enet/obstacles', cloud(is_bigendian=True)),
    'ten million rays': ('/enet/free_space', scan(np.zeros(10_000_000))),
    'angles NaN': ('/enet/free_space', scan(angle_min=NAN, increment=INF, range_max=NAN)),
    'status before 1970': ('/diagnostics', diagnostics(sec=-1)),
    'status of four seconds': ('/diagnostics', diagnostics(nanosec=4_000_000_000)),
}
GOOD = {
    'mask': ('/enet/drivable_mask', image(), 'mask/mask'),
    'confidence': ('/enet/confidence', image(), 'confidence'),
    'grid': ('/enet/grid', grid(), 'ground/grid'),
    'points': ('/enet/obstacles', cloud(), 'ground/obstacles'),
    'points NaN': ('/enet/obstacles', PointCloud2(point_step=12, data=b'\xff' * 24),
                   'ground/obstacles'),
    'scan': ('/enet/free_space', scan(), 'ground/free_space'),
    'scan NaN': ('/enet/free_space', scan([NAN, 1.0, -INF, INF, NAN] * 1000),
                 'ground/free_space'),
    'diagnostics': ('/diagnostics', diagnostics(level=b'\xff', text='\x1b[2J\n'), 'diagnostics'),
}


@pytest.mark.parametrize('name', HOSTILE)
@pytest.mark.filterwarnings('error::RuntimeWarning', 'error:.*Batch')
def test_a_message_that_cannot_be_drawn_is_left_out_with_a_warning(view, capfd, name):
    begin = time.monotonic()
    topic, message = HOSTILE[name]
    assert view(topic, message) == []
    assert f'{topic}: a message is left out: ' in capfd.readouterr().err
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize('name', GOOD)
@pytest.mark.filterwarnings('error::RuntimeWarning', 'error:.*Batch')
def test_a_message_beside_them_is_drawn(view, capfd, name):
    topic, message, entity = GOOD[name]
    assert entity in view(topic, message)
    assert 'left out' not in capfd.readouterr().err


def test_labels_without_pixels_end_nothing_where_their_frame_waits(view, capfd):
    frame = image(4, 4, 'rgb8', 12, 48)
    view('/image', frame)
    assert view('/enet/labels', image(0, 4)) == []
    assert 'the image has 4x0 pixels' in capfd.readouterr().err
    assert view('/enet/labels', image(2, 2)) == ['image/camera', 'image/labels']


def test_times_that_are_no_numbers_are_not_plotted(view):
    timing = FrameTiming(inference_ms=NAN, publish_ms=INF, wait_ms=2.0)
    assert 'latency/wait' in view('/enet/timing', timing)
    assert not {'latency/inference', 'latency/publish'} & set(view('/enet/timing', timing))


def test_too_many_points_are_named(monkeypatch):
    monkeypatch.setattr(view_messages, 'MAX_POINTS', 1)
    with pytest.raises(view_messages.MessageError, match='has 2 points, wanted at most 1'):
        view_messages.points_xyz(cloud())


def test_warnings_are_one_line_each_few_seconds(node, capfd):
    def fail(message):
        raise RuntimeError('\x1b[2J\nFATAL')
    guarded = Guarded(node, '/x', fail)
    for _ in range(5):
        guarded(None)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith('/x: a message is left out: RuntimeError: \\x1b[2J FATAL')
    assert reason_of(ValueError('text')) == 'ValueError: text'


def test_a_stamp_is_read_from_a_header_alone():
    assert read_stamp_ns(serialize_message(image(sec=2, nanosec=3))) == 2_000_000_003
    for bad, words in ((b'', '0 bytes has no header'), (b'\0\1\0\0', 'no header'),
                       (serialize_message(image(sec=-5)), 'stamp is -5 s and 0 ns')):
        with pytest.raises(ValueError, match=words):
            read_stamp_ns(bad)


@pytest.mark.ros
def test_the_viewer_goes_on_after_hostile_messages_over_dds(node):
    drawing = Drawing()
    DiagnosticsView(node, SimpleNamespace(name='/enet', cameras=[CAMERA]), [drawing])
    executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
    deadline = time.monotonic() + 20
    while 'diagnostics' not in drawing.drawn:
        assert time.monotonic() < deadline
        publisher.publish(diagnostics(sec=-1))
        executor.spin_once(timeout_sec=0.1)
        publisher.publish(b'\0\1\0\0\xff\xff')
        executor.spin_once(timeout_sec=0.1)
        publisher.publish(diagnostics())
        executor.spin_once(timeout_sec=0.1)


def test_an_observer_counts_no_mask_with_an_impossible_stamp():
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    observer = DemoObserver()
    callbacks = {one.topic_name: one.callback for one in observer.subscriptions}
    for topic, message in (
            ('/enet/drivable_mask', image(sec=-5)), ('/enet/labels', image(sec=-5)),
            ('/enet/overlay', image(encoding='rgb9')), ('/enet/grid', grid(3, 3, 8)),
            ('/camera/labels_truth', image(sec=-5))):
        callbacks[topic](message)
    callbacks['/enet/drivable_mask'](image())
    observer.destroy_node()
    rclpy.try_shutdown()
    assert observer.record.masks == len(observer.record.latencies_ms) == 1


@pytest.mark.ros
def test_a_clock_before_1970_does_not_end_the_doctor(node, capfd):
    publisher, clock = node.create_publisher(Clock, '/clock', 10), Clock()
    clock.clock.sec = -5
    ended = threading.Event()

    def publish():
        while not ended.wait(0.05):
            publisher.publish(clock)
    thread = threading.Thread(target=publish)
    thread.start()
    try:
        with open_observer() as observer:
            observation = observer.observe('/view', 1.0)
    finally:
        ended.set()
        thread.join()
    assert not observation.has_clock
    assert '/clock: a message is left out: its stamp is -5 s' in capfd.readouterr().err


def test_inputs_that_nobody_foresaw_are_findings_of_the_doctor():
    good = serialize_message(image(4, 4, 'rgb8', 12, 48))
    found = Observation('/enet', parameters={'ground.pose': 'tf'}, frames=None, inputs=[
        Topic('/image', 'sensor_msgs/msg/Image', messages=[(0, good), (0, b'')],
              arrivals_sec=[0.0, 0.1]),
        Topic('/zip', COMPRESSED, messages=[(0, b'\0\1\0\0')], arrivals_sec=[0.0]),
        Topic('/info', INFO, messages=[(0, b'\0\1\0\0')])])
    found.statuses['enet: segmentation'] = diagnostics(rate_hz='many').status[0]
    texts = '\n'.join(finding.text for finding in input_findings.input_findings(found))
    assert '/image: a message of 0 bytes is no sensor_msgs/Image' in texts
    assert '/zip: RMWError: failed to deserialize' in texts
    assert '/info cannot be read: RMWError' in texts
