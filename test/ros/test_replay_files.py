"""What replay_camera makes of files: pictures as they are shown, and the rest past bad ones."""

import shutil

import numpy as np
import pytest
from support.damaged import as_file, damaged_files, hidden_files, rotated_video, street

pytest.importorskip('rclpy', reason='rclpy is not installed')
if not shutil.which('replay_camera'):
    pytest.skip('replay_camera is not on the PATH: . scripts/ros_env.sh', allow_module_level=True)

from enet_ros.media import SourceError, orient  # noqa: E402
from enet_ros.ros.tools.camera_info_file import read_camera_info  # noqa: E402
from enet_ros.ros.tools.camera_source import FileSource  # noqa: E402

pytestmark = pytest.mark.ros
FRAME = street(160, 96)


@pytest.mark.parametrize('orientation', [3, 6])
def test_a_picture_is_published_as_it_is_shown(start, tester, tmp_path, orientation):
    from sensor_msgs.msg import CameraInfo, Image
    (tmp_path / 'a.png').write_bytes(as_file(FRAME, 'PNG', orientation))
    start('replay_camera', '-p', f'source:={tmp_path}', '-p', 'loop:=true', '-p', 'rate:=20',
          '-p', 'encoding:=rgb8')  # a whole number is taken as a rate
    [image] = tester(Image, 'image')
    shown = orient(FRAME, orientation)
    assert (image.height, image.width) == shown.shape[:2]
    assert np.array_equal(np.frombuffer(image.data, np.uint8).reshape(shown.shape), shown)
    [info] = tester(CameraInfo, 'camera_info')
    assert (info.height, info.width) == shown.shape[:2]


def test_bad_pictures_are_warned_of_once_and_the_rest_is_published(start, tester, tmp_path):
    from sensor_msgs.msg import Image
    reasons = damaged_files(tmp_path, FRAME)
    hidden_files(tmp_path)
    for name in ('a.png', 'z.png'):
        (tmp_path / name).write_bytes(as_file(FRAME, 'PNG'))
    process = start('replay_camera', '-p', f'source:={tmp_path}', '-p', 'loop:=true', '-p',
                    'rate:=20.0')
    assert len(tester(Image, 'image', count=9)) == 9
    process.terminate()
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 0
    for name, reason in reasons.items():
        [line] = [line for line in output.splitlines() if f"/{name}'" in line]
        assert 'WARN' in line and reason in line
    assert '._a.png' not in output


def test_a_folder_without_any_good_picture_ends_the_camera_with_a_sentence(start, tmp_path):
    damaged_files(tmp_path, FRAME)
    process = start('replay_camera', '-p', f'source:={tmp_path}')
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert f"'{tmp_path}' has no image that can be read" in output
    assert 'Traceback' not in output


def test_a_video_is_shown_rotated_as_its_metadata_says(tmp_path):
    rotated_video(tmp_path / 'a.mp4', FRAME, 90)
    source = FileSource(str(tmp_path / 'a.mp4'), lambda text: None)
    frames = [frame for frame, _ in source.frames(10.0)]
    assert len(frames) == 5
    assert frames[0].shape == (160, 96, 3)


def test_what_is_missing_of_a_video_is_said_once(tmp_path):
    import cv2
    writer = cv2.VideoWriter(str(tmp_path / 'a.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10.0,
                             FRAME.shape[1::-1])
    for _ in range(20):
        writer.write(FRAME)
    writer.release()
    data = (tmp_path / 'a.avi').read_bytes()
    (tmp_path / 'a.avi').write_bytes(data[:len(data) // 2])
    said = []
    source = FileSource(str(tmp_path / 'a.avi'), said.append)
    for _ in range(2):
        assert 5 <= len(list(source.frames(10.0))) < 15
    [sentence] = said
    assert "a.avi' is damaged or cut short: " in sentence


def test_a_source_that_went_bad_while_it_loops_is_an_error(tmp_path):
    (tmp_path / 'a.png').write_bytes(as_file(FRAME, 'PNG'))
    source = FileSource(str(tmp_path), lambda text: None)
    (tmp_path / 'a.png').write_bytes(b'')
    with pytest.raises(SourceError, match='no image that can be read'):
        list(source.frames(10.0))


CALIBRATION = """\
image_width: 160
image_height: 96
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [120, 0, 79.5, 0, 120, 47.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [118, 0, 79, 0, 0, 118, 47, 0, 0, 0, 1, 0]}
"""


def test_a_calibration_from_a_file_is_published_with_the_images(start, tester, tmp_path):
    from sensor_msgs.msg import CameraInfo
    (tmp_path / 'a.png').write_bytes(as_file(FRAME, 'PNG'))
    (tmp_path / 'front.yaml').write_text(CALIBRATION)
    start('replay_camera', '-p', f'source:={tmp_path / "a.png"}', '-p', 'loop:=true', '-p',
          'rate:=20.0', '-p', f'camera_info_file:={tmp_path / "front.yaml"}')
    for info in tester(CameraInfo, 'camera_info', count=2):
        assert (info.width, info.height, info.distortion_model) == (160, 96, 'plumb_bob')
        assert list(info.k) == [120, 0, 79.5, 0, 120, 47.5, 0, 0, 1]
        assert list(info.d) == [0.1, 0, 0, 0, 0] and info.p[0] == 118
        assert info.header.frame_id == 'camera_optical_frame' and info.header.stamp.sec


@pytest.mark.parametrize(('old', 'new', 'said'), [
    ('camera_matrix', 'matrix', 'has no camera_matrix, wanted the file that camera_calibration'),
    ('79.5, 0, 120', '79.5, 120', 'camera_matrix has 8 values, wanted 9'),
    ('image_width: 160', 'image_width: wide', 'is no calibration'),
    ('image_width: 160', 'image_width: .inf', 'image_width is inf, wanted 1 to'),
    ('image_width: 160', 'image_width: -640', 'image_width is -640, wanted 1 to'),
    ('data: [0.1', 'data: [none', 'is no calibration'),
    (CALIBRATION, '[', 'is no calibration: it is no YAML'), (CALIBRATION, '', 'is no calibration'),
    (CALIBRATION, None, 'No such file or directory')])
def test_a_file_that_is_no_calibration_is_named(tmp_path, old, new, said):
    path = tmp_path / 'front.yaml'
    if new is not None:
        path.write_text(CALIBRATION.replace(old, new))
    with pytest.raises(ValueError, match=said) as error:
        read_camera_info(str(path))
    assert f"camera_info_file '{path}'" in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(('given', 'said'), [
    ('loop:=1', "loop is '1', wanted true or false"),
    ('source:=5', "source is '5', wanted a text; write it with quotes"),
    ("rate:='15'", "rate is '15', wanted a number; write it without quotes")])
def test_a_parameter_of_another_type_is_one_sentence(start, given, said):
    process = start('replay_camera', '-p', given)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1 and output.strip() == said
