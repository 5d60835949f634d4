"""The executables as processes of their own: start, stop, exit codes, the camera and the demo."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
if not shutil.which('segment_node'):
    pytest.skip('segment_node is not on the PATH: . scripts/ros_env.sh', allow_module_level=True)

from enet_ros.media import write_image  # noqa: E402
from enet_ros.network.checkpoint import (  # noqa: E402
    read_checkpoint,
    weights_path,
    write_checkpoint,
)
from enet_ros.perception.encodings import ENCODINGS, decode_compressed, decode_raw_image  # noqa: E402
from enet_ros.ros.tools.replay_camera import PARAMETERS  # noqa: E402
from enet_ros.scene.road_scene import RoadScene  # noqa: E402
from enet_ros.scene.style import Style  # noqa: E402

pytestmark = pytest.mark.ros
REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = ['-p', 'resolution:=[160, 96]', '-p', 'precision:=float32']


def read_until(process, text, seconds=60.0):
    """Read output up to a line with a text; fails if the process ends before."""
    lines, deadline = [], time.monotonic() + seconds
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return ''.join(lines)
        assert time.monotonic() < deadline, ''.join(lines)
    raise AssertionError(f"the process ended without saying '{text}':\n{''.join(lines)}")


def test_fast_dds_takes_every_setting_of_the_profile_that_ships():
    profile = REPOSITORY / 'config' / 'fastdds.xml'
    said = subprocess.run(
        [sys.executable, '-c', 'import rclpy; rclpy.init(); rclpy.create_node("reader")'],
        env={**os.environ, 'RMW_IMPLEMENTATION': 'rmw_fastrtps_cpp',
             'FASTRTPS_DEFAULT_PROFILES_FILE': str(profile)},
        capture_output=True, text=True, check=True, timeout=60)
    assert 'XMLPARSER' not in said.stdout + said.stderr


def test_the_parameter_file_fits_weights_of_other_classes(start, tmp_path):
    checkpoint = read_checkpoint(weights_path(''))
    names = tuple('Grass' if name == 'Pavement' else name for name in checkpoint.class_map.names)
    drivable = tuple(name == 'Grass' for name in names)
    path = tmp_path / 'field.safetensors'
    write_checkpoint(path, replace(checkpoint, class_map=replace(
        checkpoint.class_map, names=names, drivable=drivable)))
    process = start('segment_node', '--params-file', str(REPOSITORY / 'config' / 'segment.yaml'),
                    *SMALL, '-p', f'weights:={path}')
    assert 'drivable: Grass;' in read_until(process, 'ready in')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_node_within_2_seconds_with_exit_code_0(start, number):
    process = start('segment_node', *SMALL)
    read_until(process, 'subscribed to')
    process.send_signal(number)
    started = time.monotonic()
    assert process.wait(10) == 0
    assert time.monotonic() - started < 2.0


def test_a_node_under_nohup_outlives_its_terminal(start, tmp_path):
    process = start('segment_node', *SMALL,
                    preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    read_until(process, 'subscribed to')
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


@pytest.mark.parametrize('delay', [0.5, 1.0, 2.0])
def test_a_signal_ends_the_node_while_it_starts(start, tmp_path, delay):
    # An empty cache: the network is being converted and compiled, which nothing interrupts.
    process = start('segment_node', env={**os.environ, 'ENET_ROS_CACHE': str(tmp_path)})
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    assert process.wait(10) == 0
    assert time.monotonic() - started < 2.0


@pytest.mark.parametrize(('name', 'value', 'message'), [
    ('resolution', '[642, 360]', 'resolution is 642x360, wanted .* such as 640x360'),
    ('weights', 'nowhere', "weights 'nowhere' not found"),
    ('backend', 'tpu', "backend is 'tpu', wanted one of auto"),
    ('class_map.Raod.drivable', 'true', "unknown class 'Raod'"),
    ('confidence_floor', '2.0', 'confidence_floor is 2.0, wanted 0.0 to 1.0'),
    ('autostart', 'maybe', "autostart is 'maybe', wanted true or false"),
])
def test_a_bad_parameter_ends_the_node_with_exit_code_1(start, name, value, message):
    process = start('segment_node', '-p', f'{name}:={value}')
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert re.search(message, output), output


def test_without_autostart_the_node_waits_unconfigured(start):
    process = start('segment_node', '-p', 'autostart:=false', '-p', 'resolution:=[642, 360]')
    time.sleep(2.0)
    assert process.poll() is None
    process.terminate()
    assert process.wait(10) == 0


def test_a_typo_in_a_parameter_name_is_warned_of(start):
    process = start('segment_node', *SMALL, '-p', 'resolutoin:=[640, 360]')
    output = read_until(process, 'subscribed to')
    assert "'resolutoin' is not known and has no effect; did you mean 'resolution'?" in output


@pytest.mark.parametrize('program', ['segment_node', 'replay_camera'])
@pytest.mark.parametrize('option', ['--help', '-h'])
def test_help_is_printed_and_nothing_started(program, option):
    done = subprocess.run([program, option, '--ros-args', '-r', '__node:=a'], text=True,
                          capture_output=True, timeout=30)
    assert done.returncode == 0 and done.stderr == ''
    assert done.stdout.startswith(f'usage: {program} [--ros-args ')
    assert program == 'segment_node' or all(name in done.stdout for name in PARAMETERS)


@pytest.mark.parametrize('program', ['segment_node', 'replay_camera'])
def test_an_argument_that_is_not_one_of_ros_is_refused(program):
    done = subprocess.run([program, 'drive.mp4', '--ros-args', '-r', '__node:=a'], text=True,
                          capture_output=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.startswith("'drive.mp4' is not understood, wanted arguments of ROS after "
                                  f'--ros-args\nusage: {program} [--ros-args')


def test_a_typo_in_a_parameter_of_the_camera_is_warned_of(start):
    process = start('replay_camera', '-p', 'sorce:=drive.mp4')
    output = read_until(process, 'drawn at')
    assert "'sorce' is not known and has no effect; did you mean 'source'?" in output


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / 'picture.png'
    write_image(path, RoadScene(160, 96).render(2.0)[0])
    return path


def test_the_camera_publishes_every_encoding(start, tester, picture):
    from sensor_msgs.msg import CameraInfo, CompressedImage, Image
    frame = RoadScene(160, 96).render(2.0)[0]
    for encoding in (ENCODINGS[0], 'nv12', 'bayer_grbg8', 'jpeg', 'png'):
        process = start('replay_camera', '-p', f'source:={picture}', '-p', 'loop:=true', '-p',
                        'rate:=20.0', '-p', f'encoding:={encoding}')
        if encoding in ('jpeg', 'png'):
            [message] = tester(CompressedImage, 'image/compressed')
            found = decode_compressed(message.data)
        else:
            [message] = tester(Image, 'image')
            assert message.encoding == encoding
            found = decode_raw_image(message.data, encoding, message.width, message.height,
                                     message.step)
        [info] = tester(CameraInfo, 'camera_info')
        assert (info.width, info.height, info.k[0]) == (160, 96, 0.0)
        assert message.header.frame_id == info.header.frame_id == 'camera_optical_frame'
        assert np.abs(found.astype(int) - frame).mean() < (1 if encoding == 'rgb8' else 12)
        process.terminate()
        assert process.wait(10) == 0


def test_the_drawn_camera_publishes_truth_and_calibration(start, tester):
    from sensor_msgs.msg import CameraInfo, Image
    start('replay_camera', '-p', 'width:=160', '-p', 'height:=96', '-p', 'seed:=3')
    truths = tester(Image, 'camera/labels_truth', count=3)
    [info] = tester(CameraInfo, 'camera_info')
    scene = RoadScene(160, 96, 3)
    assert info.k.reshape(3, 3) == pytest.approx(scene.camera.k)
    drawn = {scene.render(i / 15)[1].tobytes() for i in range(120)}
    assert all(message.data.tobytes() in drawn for message in truths)
    assert truths[0].step == 160


def test_the_camera_drops_out_and_returns(start, tester):
    """Gaps of 0.6 s end every 1.5 s; the drive goes on meanwhile, with its obstacle and slope."""
    from sensor_msgs.msg import Image
    scene = RoadScene(160, 96, style=Style(obstacle=True, slope=0.05))
    start('replay_camera', '-p', 'width:=160', '-p', 'height:=96', '-p', 'obstacle:=true', '-p',
          'slope:=0.05', '-p', 'dropout_every:=1.5', '-p', 'dropout_for:=0.6')
    truths = tester(Image, 'camera/labels_truth', count=40)
    stamps = [m.header.stamp.sec + m.header.stamp.nanosec * 1e-9 for m in truths]
    gaps = np.diff(stamps)
    assert np.count_nonzero(gaps >= 0.6) >= 2
    assert all(message.data.tobytes() != truths[0].data.tobytes() for message in truths[1:])
    drawn = {scene.render(i / 15)[1].tobytes(): i for i in range(450)}
    steps = np.diff([drawn[message.data.tobytes()] for message in truths])
    assert (steps[gaps >= 0.6] > 1).all()


def test_a_camera_with_its_frames_ready_repeats_them(start, tester):
    from sensor_msgs.msg import Image
    start('replay_camera', '-p', 'width:=160', '-p', 'height:=96', '-p', 'preload:=3', '-p',
          'rate:=30.0')
    truths = tester(Image, 'camera/labels_truth', count=8)
    scene = RoadScene(160, 96)
    drawn = {scene.render(i / 30)[1].tobytes(): i for i in range(3)}
    assert {drawn.get(message.data.tobytes()) for message in truths} == {0, 1, 2}
    stamps = [m.header.stamp.sec + m.header.stamp.nanosec * 1e-9 for m in truths]
    assert (np.diff(stamps) > 0).all()


def test_the_camera_ends_with_its_source(start, picture):
    process = start('replay_camera', '-p', f'source:={picture}', '-p', 'rate:=20.0')
    assert 'end of the source after 1 frames' in process.communicate(timeout=30)[0]
    assert process.returncode == 0


@pytest.mark.parametrize(('name', 'value', 'message'), [
    ('source', '/nowhere.mp4', "'/nowhere.mp4' does not exist"),
    ('encoding', 'rgb9', "encoding is 'rgb9', wanted one of rgb8"),
    ('rate', '-1.0', 'rate is -1.0, wanted'),
    ('width', '-5', '-5'),
    ('slope', '0.5', 'slope is 0.5, wanted -0.2 to 0.2 radians'),
    ('preload', '-1', 'preload is -1, wanted 0 or more frames'),
    ('dropout_every', '-1.0', 'dropout_every is -1.0, wanted 0 or more seconds'),
    ('dropout_every', '2.0', 'dropout_for is 0.0, wanted above 0 and below dropout_every, 2.0'),
    ('dropout_for', '0.5', 'dropout_for is 0.5, wanted 0 where dropout_every is 0'),
])
def test_a_bad_camera_parameter_ends_it_with_exit_code_1(start, name, value, message):
    process = start('replay_camera', '-p', f'{name}:={value}')
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert message in output
    assert 'Traceback' not in output


def check_demo_files(folder, source):
    report = json.loads((folder / 'report.json').read_text())
    assert set(report) == {'source', 'backend', 'precision', 'resolution', 'frames_in',
                           'frames_out', 'dropped', 'fps', 'latency_ms', 'road_iou',
                           'drivable_iou_metres'}
    assert report['source'] == str(source)
    assert report['resolution'] == [640, 360]
    assert report['frames_in'] >= report['frames_out'] >= 2
    assert 0 < report['latency_ms']['p50'] <= report['latency_ms']['p95'] \
        <= report['latency_ms']['p99']
    overlay = cv2.imread(str(folder / 'overlay.png'))
    assert overlay.std() > 20
    video = cv2.VideoCapture(str(folder / 'overlay.mp4'))
    good, frame = video.read()
    assert good
    assert frame.std() > 20
    assert frame.shape[1] == overlay.shape[1]  # with the ground from above, where there is one
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) > report['frames_out'] / 2
    return report


@pytest.mark.parametrize('weights', ['enet_camvid', 'enet_road'])
def test_demo_on_the_drawn_street(tmp_path, weights):
    done = subprocess.run(['demo', '--duration', '4', '--out', str(tmp_path / 'out'),
                           '--weights', weights], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    report = check_demo_files(tmp_path / 'out', 'drawn')
    assert report['road_iou'] > 0.8
    assert report['drivable_iou_metres'] > 0.8
    assert cv2.imread(str(tmp_path / 'out' / 'overlay.png')).shape[1] > 900  # ground from above
    last = done.stdout.splitlines()[-3:]
    assert [line.split()[-1] for line in last] == [
        str(tmp_path / 'out' / name) for name in ('overlay.png', 'overlay.mp4', 'report.json')]


def test_demo_on_a_real_drive(tmp_path, shared):
    source = shared / 'video' / 'solidWhiteRight.mp4'
    done = subprocess.run(['demo', '--source', str(source), '--duration', '3', '--out',
                           str(tmp_path / 'out')], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert check_demo_files(tmp_path / 'out', source)['road_iou'] is None


def test_the_demo_of_images_of_several_sizes_has_every_frame_in_its_video(tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    noise = np.random.default_rng(1).integers(60, 200, (360, 480, 3)).astype(np.uint8)
    for index, size in enumerate([(480, 360), (320, 227)] * 2):
        cv2.imwrite(str(folder / f'{index}.png'), cv2.resize(noise, size))
    done = subprocess.run(['demo', '--source', str(folder), '--duration', '3', '--out',
                           str(tmp_path / 'out')], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert 'Failed to write' not in done.stderr
    report = json.loads((tmp_path / 'out' / 'report.json').read_text())
    video = cv2.VideoCapture(str(tmp_path / 'out' / 'overlay.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) > 0.8 * report['frames_out']


@pytest.mark.parametrize('arguments', [
    ['--source', '/nowhere.mp4'], ['--weights', 'enet_nowhere'], ['--duration', '-1'],
    ['--duration', 'nan']])
def test_demo_says_what_is_wrong(tmp_path, arguments):
    done = subprocess.run(['demo', *arguments, '--out', str(tmp_path)], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode in (1, 2)
    assert arguments[1] in done.stderr
    assert 'Traceback' not in done.stderr


def test_the_node_tells_its_start_by_stages(start, tester):
    from sensor_msgs.msg import Image
    node = start('segment_node', *SMALL)
    start('replay_camera', '-p', 'width:=160', '-p', 'height:=96', '-p', 'preload:=2')
    tester(Image, 'enet/drivable_mask')
    output = read_until(node, 'first frame published')
    ready = re.search(r'ready in ([\d.]+) s \(weights ([\d.]+), network ([\d.]+), '
                      r'warm-up ([\d.]+), topics ([\d.]+)\)', output)
    first = re.search(r'first frame published ([\d.]+) s after the start \(imports ([\d.]+), '
                      r'node ([\d.]+), configure ([\d.]+), first frame ([\d.]+)\)', output)
    for total, *stages in (ready.groups(), first.groups()):
        assert float(total) == pytest.approx(sum(map(float, stages)), abs=0.1)
    assert float(first[2]) > 0.05  # the interpreter and the imports are in it


@pytest.mark.parametrize('cameras', [1, 2])
def test_the_node_is_measured_from_stamp_to_mask(tmp_path, cameras):
    pytest.importorskip('psutil', reason='psutil is not installed')
    file = tmp_path / 'node.json'
    done = subprocess.run(
        ['enet-ros', 'bench', '--node', '--resolution', '160x96', '--rate', '10', '--duration',
         '2', '--cameras', str(cameras), '--json', str(file)], capture_output=True, text=True,
        timeout=110)
    assert done.returncode in (0, 1), done.stderr  # 1: others kept the machine busy
    result = json.loads(file.read_text())
    assert {'fps', 'latency_ms', 'segmenter_ms', 'overhead_ratio', 'cpu_percent', 'rss_mb',
            'busy'} <= set(result)
    assert (done.returncode == 1) == bool(result['busy'])
    assert len(result['fps_each']) == cameras
    assert 0 < min(result['fps_each']) <= max(result['fps_each']) < 12
    latency = result['latency_ms']
    assert 0 < latency['p50'] <= latency['p95'] <= latency['p99'] <= latency['max']
    assert result['overhead_ratio'] > 0 and result['segmenter_ms'] > 0
    assert result['published_share'] > 0 and result['published_share_beside_cameras'] > 0
    assert result['stages_ms']['inference'] > 0
    assert 'from camera stamp to mask received' in done.stdout


def test_frames_dropped_while_the_node_was_halted_do_not_count():
    pytest.importorskip('psutil', reason='psutil is not installed')
    from enet_ros.ros.tools.bench_node import _count_dropped

    def timings(*counts):
        return [SimpleNamespace(dropped=count) for count in counts]

    halted = [timings(0, 7), timings(2, 2)]  # seven waited in the first camera when it went on
    assert _count_dropped(halted, [timings(7, 7), timings(2, 3)]) == 1


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--rate', '0'], '--rate is 0.0, wanted 0.1 to 1000'),
    (['--duration', '0'], '--duration is 0.0, wanted 1 to 3600'),
    (['--cameras', '0'], '--cameras is 0, wanted 1 or more')])
def test_the_measurement_refuses_options(arguments, message):
    pytest.importorskip('psutil', reason='psutil is not installed')
    done = subprocess.run(['enet-ros', 'bench', '--node', *arguments], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 2
    assert message in done.stderr
