"""The limit of the confidence: how it is chosen, written, and how often it would warn."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from enet_ros.cli.main import main  # noqa: E402
from enet_ros.cli.suspects import count_alarms  # noqa: E402
from enet_ros.network.checkpoint import (  # noqa: E402
    read_checkpoint,
    weights_path,
    write_checkpoint,
)
from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.perception.segmenter import Segmentation  # noqa: E402
from enet_ros.scene.road_scene import RoadScene  # noqa: E402
from enet_ros.training.confidence_limit import (  # noqa: E402
    FRAMES,
    ConfidenceLimit,
    measure_confidence_limit,
    spread,
    spread_frames,
)
from enet_ros.training.photometric import apply_change  # noqa: E402
from enet_ros.training.ruin import RUINS, RUINS_IN_PLACE, upside_down  # noqa: E402

SIZE = (160, 96)


@pytest.fixture(scope='module')
def frames():
    return [RoadScene.random(seed, *SIZE).render(1.0)[0] for seed in range(6)]


def segmenter_of(confidence_of):
    """Return a network whose mean confidence is a function of the frame."""
    def infer(batch, *, confidence):
        assert confidence
        shape = batch.shape[1:3]
        return [Segmentation(np.zeros(shape, np.uint8),
                             np.full(shape, confidence_of(frame), np.float32)) for frame in batch]
    return SimpleNamespace(resolution=SIZE, infer=infer,
                           new_batch=lambda n: np.zeros((n, *SIZE[::-1], 3), np.uint8))


def is_clean(frame, clean):
    return any(np.array_equal(frame, one) for one in clean)


def test_most_ruined_frames_lie_below_the_limit_and_no_clean_one(frames):
    limit = measure_confidence_limit(segmenter_of(
        lambda frame: 0.9 if is_clean(frame, frames) else 0.4 + frame.mean() / 1000), frames)
    ruined = np.concatenate(list(limit.ruined.values()))
    assert (ruined < limit.least_confidence).mean() == pytest.approx(0.75, abs=0.05)
    assert (limit.clean > limit.least_confidence).all()
    assert list(limit.ruined) == [ruin.__name__ for ruin in RUINS]
    assert all(len(values) == len(frames) for values in limit.ruined.values())
    assert 'upside_down' in limit.table()


def test_the_limit_keeps_below_the_clean_frames_of_weights_that_cannot_tell(frames):
    limit = measure_confidence_limit(segmenter_of(lambda frame: 0.5), frames)
    assert limit.least_confidence == pytest.approx(0.48)
    assert measure_confidence_limit(segmenter_of(lambda frame: 0.01), frames
                                    ).least_confidence == 0.0


def test_alarms_are_counted_as_the_node_would_give_them(frames):
    wandering = [np.roll(frames[i % 6], i, axis=1) for i in range(60)]
    black = np.zeros_like(frames[0])
    steady = segmenter_of(lambda frame: 0.9)
    assert count_alarms(steady, wandering, 0.7).alarms == 0
    alarms = count_alarms(steady, [*wandering[:5], black, black, *wandering[:5], black], 0.7)
    assert (alarms.frames, alarms.alarms, alarms.faults.total()) == (13, 2, 3)
    assert alarms.faults == {'black': 3}
    assert alarms.describe_alarms().startswith(
        '13 images, taken as one a second: 2 alarms (553.8 an hour), 3 suspect')
    lost = count_alarms(segmenter_of(lambda frame: 0.5), wandering, 0.7)
    assert (lost.alarms, lost.faults.total()) == (1, 56)
    assert count_alarms(segmenter_of(lambda frame: 0.5), wandering, 0.0).alarms == 0


@pytest.mark.parametrize('ruin', RUINS, ids=lambda ruin: ruin.__name__)
def test_a_ruin_changes_a_frame_and_is_the_same_each_time(frames, ruin):
    frame = frames[0].copy()
    first, again = (ruin(frame, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, again)
    assert np.array_equal(frame, frames[0])
    assert (first.shape, first.dtype) == (frame.shape, np.uint8)
    assert np.abs(first.astype(int) - frame).mean() > 3


def test_eval_offers_the_ruins_that_leave_labels_in_place(frames):
    for ruin in RUINS_IN_PLACE:
        assert np.array_equal(apply_change(ruin.__name__, frames[0], 5),
                              ruin(frames[0], np.random.default_rng(5)))
    with pytest.raises(ValueError, match='wanted one of shadow, .*, defocus, dirt, '):
        apply_change(upside_down.__name__, frames[0], 5)


@pytest.mark.parametrize(('count', 'used'), [(1, 1), (3, 3), (FRAMES, FRAMES), (1000, FRAMES)])
def test_frames_are_spread_over_all(count, used):
    chosen = spread(count)
    assert len(chosen) == used
    assert (chosen[0], chosen[-1]) == (0, count - 1)


@pytest.fixture
def images(frames, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    for index, frame in enumerate(frames[:3]):
        cv2.imwrite(str(folder / f'{index}.png'), frame[..., ::-1])
    return folder


def test_frames_come_from_a_folder_an_image_or_a_video(images, frames, tmp_path):
    assert np.array_equal(spread_frames(images), frames[:3])
    assert np.array_equal(spread_frames(images / '1.png'), frames[1:2])
    writer = cv2.VideoWriter(str(tmp_path / 'v.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 10, SIZE)
    for index in range(90):
        writer.write(frames[index % 6])
    writer.release()
    assert len(spread_frames(tmp_path / 'v.mp4')) == FRAMES


def test_the_command_writes_the_limit_and_leaves_the_weights(images, tmp_path, capsys):
    shipped = read_checkpoint(weights_path(''))
    own = tmp_path / 'own.safetensors'
    shipped.least_confidence, shipped.resolution = 0.0, SIZE
    write_checkpoint(own, shipped)
    command = ['calibrate', '--images', str(images), '--weights', str(own), '--precision',
               'float32']
    assert main(command) == 0
    assert read_checkpoint(own).least_confidence == 0.0
    assert main([*command, '--out', str(own), '--force']) == 0
    written = read_checkpoint(own)
    assert 0.0 < written.least_confidence < 1.0
    assert f'least_confidence: {written.least_confidence:.3f}' in capsys.readouterr().out
    assert written.fingerprint() == shipped.fingerprint()
    for name, array in shipped.tensors.items():
        assert written.tensors[name].tobytes() == array.tobytes()
    assert main([*command, '--alarms']) == 0
    assert '3 images, taken as one a second: 0 alarms' in capsys.readouterr().out
    assert main([*command, '--alarms', '--change', 'too_dark']) == 0
    assert '3 images, taken as one a second: 1 alarms' in capsys.readouterr().out


@pytest.mark.parametrize(('options', 'said'), [
    (['--alarms', '--out', 'w.safetensors'], '--alarms and --out are given'),
    (['--change', 'fog'], "--change is 'fog' without --alarms"),
    (['--out', 'w.onnx'], "--out is 'w.onnx', wanted a name that ends in .safetensors")])
def test_the_command_refuses_what_it_cannot_do(images, capsys, options, said):
    assert main(['calibrate', '--images', str(images), *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(('resolution', 'holds'), [
    ('640x360', True), ('480x480', True), ('904x256', True), ('448x264', True),
    ('320x184', False), ('1280x720', False), ('360x640', False), ('1280x184', False)])
def test_no_limit_is_written_far_from_the_resolution_of_the_weights(images, tmp_path, capsys,
                                                                    resolution, holds,
                                                                    monkeypatch):
    clean, out = np.array([0.9]), tmp_path / 'own.safetensors'
    monkeypatch.setattr('enet_ros.training.confidence_limit.measure_confidence_limit',
                        lambda segmenter, frames: ConfidenceLimit(0.7, clean, {'dirt': clean}))
    command = ['calibrate', '--images', str(images), '--resolution', resolution, '--backend',
               'torch', '--precision', 'float32']
    assert main([*command, '--out', str(out)]) == (0 if holds else 2)
    assert out.exists() == holds
    said = capsys.readouterr().err
    assert ('--out is refused' in said) != holds
    assert holds or f'{resolution}, and these weights are trained at 640x360' in said
    assert not holds or 'no ruined image lies below the limit' in said


def test_weights_of_one_class_have_no_limit(images, tmp_path, capsys):
    checkpoint = read_checkpoint(weights_path(''))
    one = replace(checkpoint, class_map=ClassMap.from_names(['road']), tensors={
        **checkpoint.tensors, 'fullconv.bias': checkpoint.tensors['fullconv.bias'][:1].copy(),
        'fullconv.weight': checkpoint.tensors['fullconv.weight'][:, :1].copy()})
    write_checkpoint(tmp_path / 'one.safetensors', one)
    assert main(['calibrate', '--images', str(images), '--weights',
                 str(tmp_path / 'one.safetensors')]) == 2
    assert 'these weights know one class' in capsys.readouterr().err


def test_shipped_weights_have_a_limit():
    for name in ('enet_camvid', 'enet_camvid_367', 'enet_camvid_start'):
        assert 0.6 < read_checkpoint(weights_path(name)).least_confidence < 0.85


@pytest.mark.slow
def test_the_shipped_limit_is_what_the_command_finds(shared):
    from enet_ros.perception.segmenter import Segmenter
    checkpoint = read_checkpoint(weights_path('enet_camvid_367'))
    limit = measure_confidence_limit(
        Segmenter(checkpoint, checkpoint.resolution, threads=1, use_cache=False),
        spread_frames(shared / 'camvid' / 'val'))
    assert limit.least_confidence == pytest.approx(checkpoint.least_confidence, abs=0.02)
