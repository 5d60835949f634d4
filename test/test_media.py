"""Pictures and videos from files, and enet-ros segment over them."""

import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import cv2
import numpy as np
import pytest

from enet_ros.cli.main import main
from enet_ros.common.child import python_command
from enet_ros.media import (
    SourceError,
    Video,
    VideoWriter,
    existing,
    list_images,
    read_frames,
    read_image,
    write_image,
)
from enet_ros.perception.overlay import birds_eye, with_legend
from enet_ros.perception.segmenter import Segmenter

REPOSITORY = Path(__file__).resolve().parents[1]
OPTIONS = ['--resolution', '160x96', '--precision', 'float32']


@pytest.fixture
def folder(tmp_path, road_frame):
    path = tmp_path / 'pictures'
    path.mkdir()
    write_image(path / 'b.png', road_frame)
    write_image(path / 'a.png', road_frame[:, ::-1])
    (path / 'notes.txt').write_text('no image')
    return path


@pytest.fixture
def video(tmp_path, road_frame):
    writer = VideoWriter(tmp_path / 'drive.mp4', 10.0)
    for shift in range(5):
        writer.write(np.roll(road_frame, 4 * shift, 1))
    writer.close()
    return tmp_path / 'drive.mp4'


def test_folders_are_read_in_the_order_of_names(folder, road_frame):
    assert [path.name for path in list_images(folder)] == ['a.png', 'b.png']
    assert np.array_equal(list(read_frames(folder))[1], road_frame)


def test_videos_are_read_from_the_first_frame_each_time(video):
    opened = Video(video)
    assert (opened.fps, opened.count) == (10.0, 5)
    assert len(list(opened)) == len(list(opened)) == 5


def test_every_frame_is_in_a_video_whatever_its_size(tmp_path, road_frame, capfd):
    writer = VideoWriter(tmp_path / 'mixed.mp4', 10.0)
    sizes = [(320, 192), (321, 227), (100, 192), (320, 192)]
    for size in sizes:
        writer.write(cv2.resize(np.maximum(road_frame, 60), size))
    writer.close()
    frames = list(Video(tmp_path / 'mixed.mp4'))
    assert [frame.shape for frame in frames] == [(192, 320, 3)] * 4
    assert frames[2][:, :100].mean() < 10 and frames[2][:, 220:].mean() < 10  # black bars
    assert frames[2][:, 115:205].mean() > 60 and frames[3].mean() > 60
    assert capfd.readouterr().err == ''  # OpenCV writes there what it refuses


@pytest.mark.parametrize(('name', 'message'), [
    ('nowhere', "'nowhere' does not exist"), ('empty', 'has no images'),
    ('broken.png', 'cannot be read as an image'), ('broken.mp4', 'cannot be read as a video')])
def test_what_gives_no_frames_is_named(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'broken.png').write_bytes(b'nonsense')
    (tmp_path / 'broken.mp4').write_bytes(b'nonsense')
    with pytest.raises(SourceError, match=message):
        list(read_frames(existing(name)))


def test_a_picture_larger_than_any_is_named(tmp_path, capsys):
    header = b'IHDR' + struct.pack('>IIBBBBB', 200_000, 200_000, 8, 2, 0, 0, 0)
    path = tmp_path / 'huge.png'
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + header
                     + struct.pack('>I', zlib.crc32(header)) + bytes(4) + b'IDAT'
                     + struct.pack('>I', zlib.crc32(b'IDAT')))
    with pytest.raises(SourceError, match="huge.png' cannot be read as an image"):
        read_image(path)
    assert main(['segment', str(path), '--out', str(tmp_path / 'out'), *OPTIONS]) == 1
    assert "huge.png' cannot be read as an image" in capsys.readouterr().err


def test_segment_writes_labels_mask_and_overlay_at_the_inputs_size(tmp_path, folder, road_frame):
    assert main(['segment', str(folder), '--out', str(tmp_path / 'out'), *OPTIONS]) == 0
    expected = Segmenter.from_file(resolution=(160, 96), precision='float32').segment(
        [road_frame])[0].labels
    labels = cv2.imread(str(tmp_path / 'out' / 'b_labels.png'), cv2.IMREAD_UNCHANGED)
    mask = cv2.imread(str(tmp_path / 'out' / 'b_drivable.png'), cv2.IMREAD_UNCHANGED)
    overlay = read_image(tmp_path / 'out' / 'b_overlay.png')
    assert labels.ndim == mask.ndim == 2
    assert np.array_equal(labels, expected)
    assert np.array_equal(mask, np.where(expected == 3, 255, 0))
    assert overlay.shape == road_frame.shape
    road = expected == 3
    assert np.abs(overlay[road] - (road_frame[road] / 2 + np.array([64, 32, 64]))).max() <= 1
    assert len(list((tmp_path / 'out').iterdir())) == 6


def test_segment_writes_an_overlay_video(tmp_path, video):
    assert main(['segment', str(video), '--out', str(tmp_path / 'out'), '--frames',
                 *OPTIONS]) == 0
    overlay = Video(tmp_path / 'out' / 'drive_overlay.mp4')
    assert len(list(overlay)) == 5
    assert len(list((tmp_path / 'out').glob('drive_*_labels.png'))) == 5


@pytest.mark.parametrize(('name', 'inputs', 'out', 'writer'), [
    ('a_labels.png', ['pictures'], 'pictures', 'pictures/a.png'),
    ('a_overlay.png', ['pictures'], 'link', 'pictures/a.png'),
    ('drive_overlay.mp4', ['drive.mp4', 'pictures/drive_overlay.mp4'], 'pictures', 'drive.mp4'),
    ('drive_000003_drivable.png', ['drive.mp4', 'pictures', '--frames'], 'pictures',
     'drive.mp4')])
def test_segment_overwrites_no_input(tmp_path, folder, video, monkeypatch, capsys, name, inputs,
                                     out, writer):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'link').symlink_to('pictures')
    source = video if name.endswith('.mp4') else folder / 'b.png'
    (folder / name).write_bytes(source.read_bytes())
    assert main(['segment', *inputs, '--out', out, *OPTIONS]) == 2
    assert (f"'{writer}' would write '{out}/{name}', which is the input 'pictures/{name}'; "
            'wanted another --out') in capsys.readouterr().err
    assert (folder / name).read_bytes() == source.read_bytes()


def test_segment_writes_beside_its_inputs_where_none_is_overwritten(folder):
    (folder / 'drive_000003_labels.png').write_bytes((folder / 'a.png').read_bytes())
    assert main(['segment', str(folder), '--out', str(folder), *OPTIONS]) == 0
    assert main(['segment', str(folder / 'a.png'), '--out', str(folder), '--force',
                 *OPTIONS]) == 0


@pytest.mark.parametrize(('arguments', 'message'), [
    (['nowhere.png'], "'nowhere.png' does not exist"),
    (['a.png', 'other/a.png'], 'would both write a_labels.png'),
    (['a.png', '--resolution', '161x96'], 'resolution is 161x96'),
    (['a.png', '--weights', 'none'], "weights 'none' not found"),
    (['a.png', '--backend', 'tpu'], "backend is 'tpu'"),
    (['a.png', '--precision', 'float8'], "precision is 'float8'"),
])
def test_segment_says_what_is_wrong(tmp_path, monkeypatch, capsys, road_frame, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'other').mkdir()
    for path in ('a.png', 'other/a.png'):
        write_image(path, road_frame)
    assert main(['segment', *arguments, '--out', 'out']) == 2
    assert message in capsys.readouterr().err


def test_help_is_instant_for_it_imports_nothing_heavy():
    code = ("import sys; from enet_ros.cli.main import main\n"
            "try: main(['--help'])\nexcept SystemExit: pass\n"
            "print(sorted({'torch', 'cv2', 'numpy', 'openvino', 'rclpy'} & set(sys.modules)))")
    done = subprocess.run([*python_command(), '-c', code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == '[]', done.stderr


@pytest.mark.parametrize(('command', 'extra'), [
    ('bench', 'bench'), ('export', 'export'), ('train', 'train'), ('eval', 'train')])
def test_a_command_without_its_packages_says_what_installs_them(monkeypatch, capsys, command,
                                                                extra):
    def broken(name):
        raise ImportError("No module named 'some'")

    module = SimpleNamespace(DESCRIPTION='', add_arguments=lambda parser: None, run=broken)
    monkeypatch.setattr('importlib.import_module', lambda name: module)
    assert main([command]) == 2
    assert capsys.readouterr().err.endswith(
        "error: No module named 'some'; this command needs more packages: in the checkout run "
        f"scripts/setup.sh {extra}, for another environment pip install '.[{extra}]'\n")
    project = (Path(__file__).resolve().parent.parent / 'pyproject.toml').read_text()
    assert f'\n{extra} = [' in project.partition('[project.optional-dependencies]')[2]


def test_the_viewer_says_that_python_3_10_cannot_have_it(monkeypatch, capsys):
    def broken(name):
        raise ImportError("No module named 'rerun'", name='rerun')

    module = SimpleNamespace(DESCRIPTION='', add_arguments=lambda parser: None, run=broken)
    monkeypatch.setattr(sys, 'version_info', (3, 10, 12))
    monkeypatch.setattr('importlib.import_module', lambda name: module)
    assert main(['view']) == 2
    said = capsys.readouterr().err
    assert 'needs Python 3.11 or newer' in said and 'scripts/setup.sh' not in said


def test_legend_names_every_class(road_frame):
    from enet_ros.network.checkpoint import read_checkpoint, weights_path
    class_map = read_checkpoint(weights_path('')).class_map
    picture = with_legend(road_frame, class_map)
    assert np.array_equal(picture[:192], road_frame)
    shown = {tuple(color) for color in picture[192:].reshape(-1, 3).tolist()}
    assert set(class_map.colors) <= shown


def test_the_ground_from_above_has_ahead_up_and_left_left():
    cells = np.full((40, 60), -1, np.int8)  # rows along y (left), columns along x (ahead)
    cells[30:, 50:] = 0      # far, left
    cells[:10, :10] = 100    # near, right
    picture = birds_eye(cells, 0.1, 120)
    assert picture.shape == (120, 80, 3)
    green, red = picture[10, 10].astype(int), picture[110, 70].astype(int)
    assert green.argmax() == 1
    assert red.argmax() == 0
    assert len(set(picture[60, 40].tolist())) == 1


def test_a_file_has_its_name_once_it_is_whole(tmp_path, monkeypatch):
    frame = np.zeros((48, 64, 3), np.uint8)
    writer = VideoWriter(tmp_path / 'drive.mp4', 10.0)
    writer.write(frame)
    assert [path.name[0] for path in tmp_path.iterdir()] == ['.']
    writer.close()

    def stopped():
        with VideoWriter(tmp_path / 'cut.mp4', 10.0) as cut:
            cut.write(frame)
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        stopped()
    monkeypatch.setattr(Path, 'write_bytes', mock.Mock(
        side_effect=OSError(28, 'No space left on device')))
    with pytest.raises(OSError, match="No space left on device: '.*a.png'"):
        write_image(tmp_path / 'a.png', frame)
    assert [path.name for path in tmp_path.iterdir()] == ['drive.mp4']


def test_writers_beside_each_other_keep_their_own_files(tmp_path):
    names, values = ('a', 'b'), (0, 250)
    writers = [VideoWriter(tmp_path / f'{name}.mp4', 10.0) for name in names]
    for writer, value in zip(writers, values):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    for writer in writers:
        writer.close()
    for name, value in zip(names, values):
        [frame] = Video(tmp_path / f'{name}.mp4')
        assert abs(frame.mean() - value) < 10
    (tmp_path / 'link.png').symlink_to(tmp_path / 'real.png')
    write_image(tmp_path / 'link.png', frame)
    assert (tmp_path / 'link.png').is_symlink() and (tmp_path / 'real.png').is_file()


@pytest.mark.parametrize('sent', [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_stopped_leaves_no_part_of_a_video(tmp_path, sent):
    with VideoWriter(tmp_path / 'drive.mp4', 10.0) as writer:
        for value in range(250):
            writer.write(np.full((96, 160, 3), value, np.uint8))
    process = subprocess.Popen(
        [sys.executable, REPOSITORY / 'bin' / 'enet-ros', 'segment', tmp_path / 'drive.mp4',
         '--out', tmp_path / 'out', '--resolution', '640x360'], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60.0
    while not (tmp_path / 'out').is_dir() or not any((tmp_path / 'out').iterdir()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(sent)
    assert 'stopped' in process.communicate(timeout=30)[1] and process.returncode == 130
    assert not any((tmp_path / 'out').iterdir())


def test_a_video_that_lost_frames_is_refused(tmp_path):
    frame = np.zeros((48, 64, 3), np.uint8)
    writer = VideoWriter(tmp_path / 'drive.mp4', 10.0)
    for _ in range(3):
        writer.write(frame)
    writer._count += 1  # as if the disk had been full
    with pytest.raises(OSError, match='cannot be written whole; is the disk full'):
        writer.close()
    assert not list(tmp_path.iterdir())
