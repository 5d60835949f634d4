"""``enet-ros compare``: its figures against those of an own calculation, and its page."""

import base64
import json
import re
import shutil
import subprocess
from dataclasses import replace

import cv2
import numpy as np
import pytest

from enet_ros.cli.main import main
from enet_ros.comparison.measures import Difference, SideMeasures, Stillness, compare_frame
from enet_ros.comparison.recording import open_recording
from enet_ros.comparison.run import Worst
from enet_ros.comparison.sides import Options, read_side
from enet_ros.media import SourceError, VideoWriter, read_image, write_image
from enet_ros.network.checkpoint import read_checkpoint, weights_path, write_checkpoint
from enet_ros.network.class_map import ClassMap
from enet_ros.perception.segmenter import Segmenter
from enet_ros.scene.road_scene import RoadScene

SIZE = (160, 96)
ROAD = 3


@pytest.fixture(scope='module')
def frames():
    street = RoadScene(320, 192, seed=5)
    return [street.render(i * 0.1)[0] for i in range(6)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory, frames):
    path = tmp_path_factory.mktemp('frames') / 'val'
    path.mkdir()
    for i, frame in enumerate(frames):
        write_image(path / f'{i:03d}.png', frame)
    return path


@pytest.fixture(scope='module')
def renamed(tmp_path_factory):
    """Weights of other classes: CamVid's under other names."""
    checkpoint = read_checkpoint(weights_path(''))
    names = [f'{name} of ours' for name in checkpoint.class_map.names]
    path = tmp_path_factory.mktemp('weights') / 'own.safetensors'
    write_checkpoint(path, replace(checkpoint, class_map=ClassMap.from_names(
        names, ('Road of ours', 'Pavement of ours'))))
    return path


def compare(tmp_path, a, b, recording, *options):
    """Run the command; return its exit code, and its figures if it wrote any."""
    code = main(['compare', str(a), str(b), str(recording), '--out', str(tmp_path / 'page.html'),
                 '--json', str(tmp_path / 'figures.json'), '--resolution', '160x96',
                 *map(str, options)])
    path = tmp_path / 'figures.json'
    return code, json.loads(path.read_text()) if path.exists() else None


def test_a_side_equals_itself(tmp_path, folder):
    code, found = compare(tmp_path, 'enet_camvid:float32', 'enet_camvid:f32', folder)
    assert code == 0
    assert (found['agreement'], found['drivable_iou']) == (1.0, 1.0)
    assert found['only_a_drivable'] == found['only_b_drivable'] == 0
    assert found['differing_frames'] == []
    assert 0.2 < found['latency_ratio_b_over_a'] < 5
    assert 'both sides say the same of every pixel' in (tmp_path / 'page.html').read_text()


def test_the_figures_are_those_of_an_own_calculation(tmp_path, folder, frames, capsys):
    code, found = compare(tmp_path, 'enet_camvid:float32', 'enet_camvid_start:float32', folder)
    assert code == 0
    labels, confidences = [], []
    for name in ('enet_camvid', 'enet_camvid_start'):
        segmenter = Segmenter.from_file(name, resolution=SIZE, precision='float32')
        said = [segmenter.infer(cv2.resize(frame, SIZE)[None], confidence=True)[0]
                for frame in frames]
        labels.append(np.stack([item.labels.copy() for item in said]))
        confidences.append(np.mean([item.confidence.mean() for item in said]))
    a, b = (side == ROAD for side in labels)
    assert found['agreement'] == pytest.approx((labels[0] == labels[1]).mean())
    assert found['drivable_iou'] == pytest.approx((a & b).sum() / (a | b).sum())
    assert found['only_a_drivable'] == pytest.approx((a & ~b).mean())
    assert found['only_b_drivable'] == pytest.approx((b & ~a).mean())
    assert found['a']['confidence'] == pytest.approx(confidences[0], abs=1e-4)
    assert found['b']['confidence'] == pytest.approx(confidences[1], abs=1e-4)
    assert found['a']['drivable'] == pytest.approx(a.mean())
    shares = [(one != other).mean() for one, other in zip(*labels)]
    assert found['differing_frames'][0]['differs'] == pytest.approx(max(shares))
    assert f"{100 * found['agreement']:.1f} %" in capsys.readouterr().out


def test_other_classes_are_compared_by_the_drivable_area_and_it_is_said(tmp_path, folder, renamed,
                                                                        capsys):
    code, found = compare(tmp_path, 'enet_camvid', renamed, folder)
    assert code == 0 and found['agreement'] is None and not found['same_classes']
    assert 0 < found['only_b_drivable'] and found['only_a_drivable'] == 0
    note = ('The weights have different classes, so only the drivable area is compared: '
            'A calls Road drivable')
    assert note in capsys.readouterr().out and note in (tmp_path / 'page.html').read_text()


PARAMETERS = {
    'nothing is above the floor': ('confidence_floor: 1.0', lambda a, b: b['drivable'] == 0),
    'another class is drivable': ('class_map: {Pavement: {drivable: true}}',
                                  lambda a, b: b['drivable'] > a['drivable']),
    'one camera of two has its own': ('cameras: [front, rear]\n    front: {confidence_floor: 1.0}',
                                      lambda a, b: b['drivable'] == 0),
    'upside down': ('rotate: 180', lambda a, b: b['drivable'] != a['drivable']),
}


@pytest.mark.parametrize('case', PARAMETERS)
def test_settings_are_compared_by_parameter_files(tmp_path, folder, case):
    text, differ = PARAMETERS[case]
    for name, line in (('a', ''), ('b', text)):
        (tmp_path / f'{name}.yaml').write_text(
            f'enet:\n  ros__parameters:\n    resolution: [160, 96]\n    use_sim_time: true\n'
            f'    start_type_description_service: false\n'
            f'    {line}\n')
    code, found = compare(tmp_path, tmp_path / 'a.yaml', tmp_path / 'b.yaml:float32', folder)
    assert code == 0 and differ(found['a'], found['b'])


def test_frames_of_an_upside_down_camera_are_rotated_for_the_network(tmp_path, frames):
    rotated = tmp_path / 'rotated'
    rotated.mkdir()
    for i, frame in enumerate(frames):
        write_image(rotated / f'{i:03d}.png', np.ascontiguousarray(frame[::-1, ::-1]))
    (tmp_path / 'b.yaml').write_text('enet: {ros__parameters: {resolution: [160, 96], '
                                     'rotate: 180, precision: float32}}')
    segmenter = Segmenter.from_file(resolution=SIZE, precision='float32')
    upright = np.mean([segmenter.infer(cv2.resize(frame, SIZE)[None])[0].labels == ROAD
                       for frame in frames])
    _, found = compare(tmp_path, 'enet_camvid:float32', tmp_path / 'b.yaml', rotated)
    assert found['b']['drivable'] == pytest.approx(upright, abs=0.01)
    assert abs(found['a']['drivable'] - upright) > 0.05


def test_other_resolutions_are_compared_at_the_larger_one(tmp_path, folder, capsys):
    (tmp_path / 'b.yaml').write_text('/**:\n  ros__parameters:\n    resolution: [320, 192]\n'
                                     '    stall_timeout: 3.0\n')
    code, found = compare(tmp_path, 'enet_camvid', tmp_path / 'b.yaml', folder)
    assert code == 0 and found['size'] == [320, 192]
    said = capsys.readouterr().out
    assert 'compared at the larger one, 320x192' in said
    assert 'The parameters stall_timeout differ too' in said


def test_labels_beside_a_folder_score_both(tmp_path, frames, folder):
    root = tmp_path / 'site'
    shutil.copytree(folder, root / 'val')
    (root / 'valannot').mkdir()
    (root / 'classes.yaml').write_text('- {name: way, drivable: true}\n- name: rest\n')
    segmenter = Segmenter.from_file(resolution=SIZE, precision='float32')
    for i, frame in enumerate(frames[:4]):
        labels = np.where(segmenter.segment([frame])[0].labels == ROAD, 0, 1).astype(np.uint8)
        labels[:, :100] = 255  # what is not labeled does not count
        write_image(root / 'valannot' / f'{i:03d}.png', labels)
    code, found = compare(tmp_path, 'enet_camvid:float32', 'enet_camvid_start:float32',
                          root / 'val')
    assert code == 0 and found['labelled_frames'] == 4
    assert found['a']['drivable_iou_with_labels'] == 1.0
    assert 0.1 < found['b']['drivable_iou_with_labels'] < 1.0


def test_what_cannot_be_used_is_named_and_the_rest_is_compared(tmp_path, folder, capsys):
    root = tmp_path / 'site'
    shutil.copytree(folder, root / 'val')
    (root / 'val' / '001.png').write_bytes(b'')
    (root / 'valannot').mkdir()
    write_image(root / 'valannot' / '002.png', np.zeros((5, 5), np.uint8))
    (root / 'classes.yaml').write_text('- {name: way, drivable: true}\n- name: rest\n')
    code, found = compare(tmp_path, 'enet_camvid', 'enet_camvid', root / 'val')
    assert code == 1 and found['frames'] == 5
    said = capsys.readouterr().err
    assert "001.png' cannot be read as an image: it is empty" in said
    assert '002.png: 5x5, but its frame is 320x192' in said
    assert '001.png' in (tmp_path / 'page.html').read_text()


def test_a_video_is_compared_and_flickers_are_measured(tmp_path, frames):
    writer = VideoWriter(tmp_path / 'drive.mp4', 10.0)
    for frame in frames:
        writer.write(frame)
    writer.close()
    code, found = compare(tmp_path, 'enet_camvid', 'enet_camvid_start', tmp_path / 'drive.mp4')
    assert code == 0 and found['frames'] == 6
    assert found['a']['flicker'] is not None and 0 <= found['a']['flicker'] < 0.5
    assert re.fullmatch(r'frame \d, 0\.\d0 s', found['differing_frames'][0]['name'])


@pytest.mark.parametrize(('a', 'recording', 'reason'), [
    ('enet_camvid:float12', '', "has the precision 'float12', wanted WEIGHTS or WEIGHTS:PREC"),
    ('nothing', '', "weights 'nothing' not found"),
    ('nothing.yaml', '', 'nothing.yaml'),
    ('enet_camvid', 'no.mp4', "no.mp4' does not exist"),
    ('enet_camvid', 'drive.mcap', 'drive.mcap')])
def test_a_wrong_call_is_one_sentence(tmp_path, folder, capsys, a, recording, reason):
    (tmp_path / 'drive.mcap').write_bytes(b'\x89MCAP0\r\n')
    assert compare(tmp_path, a, 'enet_camvid', tmp_path / recording if recording else folder)[
        0] == 2
    said = capsys.readouterr().err
    assert reason in said and len(said.strip().splitlines()) == 1
    assert not (tmp_path / 'page.html').exists()


def test_a_topic_of_what_is_no_recording_of_ros_is_refused(tmp_path, folder, capsys):
    assert compare(tmp_path, 'enet_camvid', 'enet_camvid', folder, '--topic', '/front')[0] == 2
    assert "--topic is '/front', but" in capsys.readouterr().err


def test_no_file_is_overwritten(tmp_path, folder, capsys):
    (tmp_path / 'page.html').write_text('mine')
    assert compare(tmp_path, 'enet_camvid', 'enet_camvid', folder)[0] == 2
    assert "page.html' exists already and is not overwritten" in capsys.readouterr().err
    assert (tmp_path / 'page.html').read_text() == 'mine'


def test_a_colon_in_the_name_of_a_file_is_no_precision(tmp_path):
    path = tmp_path / 'own:float32'
    path.write_bytes(b'')
    assert read_side(str(path), Options())[0]['weights'] == str(path)
    values = read_side(f'{path}:int8', Options())[0]
    assert (values['weights'], values['precision']) == (str(path), 'int8')


def test_the_page_needs_nothing_from_the_net_and_runs_nothing(tmp_path, folder, renamed):
    hostile = tmp_path / '<script>alert(1)<'
    shutil.copytree(folder, hostile)
    (hostile / '000.png').rename(hostile / '<img src=x onerror=alert(1)>.png')
    assert compare(tmp_path, 'enet_camvid', renamed, hostile)[0] == 0
    page = (tmp_path / 'page.html').read_text()
    assert '<script' not in page and '<img src=x' not in page and '&lt;script&gt;' in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page) and 'http' not in page
    pictures = re.findall(r'base64,([^"]+)"', page)
    assert len(pictures) == 4 and all(
        cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), -1).shape == (288, 480, 3)
        for text in pictures)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which('chromium'), reason='chromium is not installed')
def test_a_browser_shows_the_pictures(tmp_path, folder):
    assert compare(tmp_path, 'enet_camvid', 'enet_camvid_start', folder)[0] == 0
    subprocess.run(['chromium', '--headless', '--no-sandbox', '--disable-gpu',
                    f'--user-data-dir={tmp_path / "profile"}', '--window-size=1240,1600',
                    f'--screenshot={tmp_path / "page.png"}', f'file://{tmp_path}/page.html'],
                   check=True, capture_output=True, timeout=100)
    shot = read_image(tmp_path / 'page.png').astype(int)
    # The drivable area of both, over the gray of the road; and the curves.
    green = (shot[..., 1] > shot[..., 0] + 40) & (shot[..., 1] > shot[..., 2] + 20)
    assert green.sum() > 5000
    assert (np.abs(shot - (0x15, 0x80, 0x3d)).max(-1) < 30).sum() > 200


def test_flicker_counts_only_where_the_image_is_still():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (40, 40, 3), np.uint8)
    moved = image.copy()
    moved[:, 20:] = rng.integers(0, 255, (40, 20, 3), np.uint8)
    stillness, side = Stillness(), SideMeasures()
    labels, mask = np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8)
    changed = labels.copy()
    changed[:, 20:] = 1  # the image changes there
    changed[:10, :10] = 1  # and not here
    for picture, own in ((image, labels), (moved, changed)):
        side.add(own, np.ones((40, 40)), mask, 1.0, stillness.update(picture))
    # The blur and the neighbors take a few columns beside the change.
    assert 100 / (40 * 17) < side.flickers[0] < 100 / (40 * 14)


def test_frames_that_do_not_follow_each_other_have_no_flicker():
    rng = np.random.default_rng(0)
    stillness = Stillness()
    for _ in range(3):
        smooth = cv2.resize(rng.integers(0, 255, (4, 4, 3), np.uint8), (64, 64))
        assert stillness.update(smooth) is None


def test_unknown_pixels_have_no_confidence_and_are_counted():
    side, labels = SideMeasures(), np.array([[255, 1], [2, 3]], np.uint8)
    side.add(labels, np.array([[0, 0.5], [0.7, 0.9]], np.float32), labels * 0, 1.0, None)
    assert side.summary()['confidence'] == pytest.approx(0.7)
    assert side.summary()['unknown'] == 0.25


def test_a_frame_of_which_nothing_is_drivable_agrees():
    nothing = np.zeros((4, 4), np.uint8)
    difference = compare_frame('x', (nothing, nothing), (nothing, nothing), same_classes=True)
    assert (difference.iou, difference.agreement, difference.size) == (1.0, 1.0, 0.0)


def test_the_masks_of_a_frame_overlap_as_counted():
    a = np.array([[255, 255, 255, 0], [0, 0, 0, 0]], np.uint8)
    b = np.array([[0, 255, 255, 255], [255, 0, 0, 0]], np.uint8)
    difference = compare_frame('x', (a, b), (a, b), same_classes=False)
    assert (difference.iou, difference.only_a, difference.only_b) == (2 / 5, 1 / 8, 2 / 8)
    assert difference.agreement is None and difference.size == 3 / 8


def test_the_worst_frames_are_kept_one_a_second_and_drawn_seldom():
    rng, drawn = np.random.default_rng(1), []
    worst = Worst(10.0)
    shares = rng.uniform(0.1, 0.9, 300)
    for i, share in enumerate(shares):
        worst.offer(Difference(str(i), 1.0 - share, 1.0, 0.0, 0.0), i / 10,
                    lambda i=i: drawn.append(i) or ())
    seconds = shares.reshape(30, 10)
    expected = sorted(seconds.max(1), reverse=True)[:8]
    assert [item.difference.size for item in worst.sorted()] == pytest.approx(expected)
    assert len(drawn) < 120


def test_one_image_is_a_recording(folder):
    recording = open_recording(str(folder / '000.png'))
    assert [frame.name for frame in recording.open(lambda text: None)] == ['000.png']


@pytest.mark.parametrize('kind', ['sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'])
def test_a_recording_of_ros_2_is_compared(tmp_path, kind):
    pytest.importorskip('rosbags')
    from support.recordings import street, write
    write(tmp_path / 'bag', street(4, ('/image/compressed',) if 'Comp' in kind else ('/image',),
                                   kind=kind))
    code, found = compare(tmp_path, 'enet_camvid', 'enet_camvid_start', tmp_path / 'bag')
    assert code == 0 and found['frames'] == 4
    assert found['differing_frames'][0]['name'].startswith('/image')


def test_a_recording_of_two_cameras_needs_a_topic(tmp_path, capsys):
    pytest.importorskip('rosbags')
    from support.recordings import street, write
    write(tmp_path / 'bag', street(3, ('/front/image', '/rear/image')))
    assert compare(tmp_path, 'enet_camvid', 'enet_camvid', tmp_path / 'bag')[0] == 2
    assert 'has several cameras: /front/image, /rear/image; wanted --topic' in (
        capsys.readouterr().err)
    code, found = compare(tmp_path, 'enet_camvid', 'enet_camvid', tmp_path / 'bag', '--topic',
                          '/rear/image')
    assert code == 0 and found['frames'] == 3


def test_a_folder_of_recordings_says_what_to_give(tmp_path, capsys):
    pytest.importorskip('rosbags', reason='the extra bag is not installed')
    from support.recordings import street, write
    write(tmp_path / 'drives' / 'monday', street(1))
    assert compare(tmp_path, 'enet_camvid', 'enet_camvid', tmp_path / 'drives')[0] == 2
    assert f"such as '{tmp_path / 'drives' / 'monday'}'" in capsys.readouterr().err


def test_each_side_reads_images_of_16_bits_by_its_own_bit_depth(tmp_path, capsys):
    pytest.importorskip('rosbags', reason='the extra bag is not installed')
    from support import recordings
    rows = recordings.street(4)
    for i, row in enumerate(row for row in rows if row[1] == 'sensor_msgs/msg/Image'):
        gray = row[3].data.reshape(-1, 3)[:, 1].astype('<u2') << (4 - 3 * (i % 2))  # dusk in turn
        row[3].encoding, row[3].step = 'mono16', 2 * row[3].width
        row[3].data = gray.view(np.uint8)
    recordings.write(tmp_path / 'bag', rows)
    for name, bits in (('a', 12), ('b', 16)):
        (tmp_path / f'{name}.yaml').write_text(
            f'/enet:\n  ros__parameters:\n    bit_depth: {bits}\n    resolution: [160, 96]\n'
            '    precision: float32\n')
    code, found = compare(tmp_path, tmp_path / 'a.yaml', tmp_path / 'b.yaml', tmp_path / 'bag')
    assert code == 0 and found['frames'] == 4
    assert 'bit_depth' not in capsys.readouterr().err
    assert found['agreement'] < 0.9  # B sees the dark


def test_several_recordings_in_a_folder_are_not_taken_for_one(tmp_path):
    for name in ('a.mcap', 'b.mcap'):
        (tmp_path / name).write_bytes(b'')
    with pytest.raises(SourceError, match="holds several recordings, wanted one of them, such as '"
                                          f"{tmp_path / 'a.mcap'}'"):
        open_recording(str(tmp_path))


def test_a_compressed_recording_is_one_and_its_mosaics_have_color(tmp_path):
    pytest.importorskip('rosbags')
    import zstandard
    from support import recordings

    from enet_ros.perception.encodings import encode_image
    types, color = recordings.store(), (200, 40, 90)
    mosaic, _ = encode_image(np.full((64, 64, 3), color, np.uint8), 'bayer_rggb8')
    message = types.types['sensor_msgs/msg/CompressedImage'](
        header=recordings.header(types.types, 10**9, 'cam'),
        format='bayer_rggb8; png compressed bayer_rggb8',
        data=cv2.imencode('.png', mosaic.reshape(64, 64))[1].ravel())
    drive = recordings.write(tmp_path / 'drive', [
        ('/image/compressed', 'sensor_msgs/msg/CompressedImage', 10**9, message)])
    packed = tmp_path / 'drive.mcap.zst'
    packed.write_bytes(zstandard.ZstdCompressor().compress((drive / 'drive.mcap').read_bytes()))
    for path in (drive, packed):
        [frame] = open_recording(str(path)).open(lambda text: None)
        assert np.abs(frame.image[32, 32].astype(int) - color).max() <= 2
