"""Augmentation: shapes, seeds, and labels that follow the frame."""

import cv2
import numpy as np
import pytest

from enet_ros.network.class_map import UNKNOWN
from enet_ros.training.augment import augment, cut_out
from enet_ros.training.geometric import CROPS, PLAIN, WHOLE_FRAMES, Geometry, geometric
from enet_ros.training.photometric import (
    CHANGES,
    STRIP_VALUES,
    dusk,
    fog,
    noise,
    photometric,
    shadow,
    soft_polygon,
    vignette,
)

CLASS_COLORS = np.array([[20, 40, 60], [90, 200, 30], [250, 120, 180], [160, 10, 220]], np.uint8)


def sample(size=(96, 64), seed=0):
    """Return a frame of colored blocks and the labels that say which color."""
    width, height = size
    blocks = np.random.default_rng(seed).integers(0, 4, (height // 16, width // 16))
    label_map = np.kron(blocks, np.ones((16, 16), int)).astype(np.uint8)
    return CLASS_COLORS[label_map], label_map


@pytest.mark.parametrize('geometry', [CROPS, WHOLE_FRAMES, PLAIN])
@pytest.mark.parametrize('size', [(64, 48), (160, 96)])
def test_augment_gives_size_type_and_known_labels(geometry, size):
    frame, label_map = sample()
    for seed in range(20):
        out, truth = augment(frame, label_map, size, (96, 64), geometry,
                             np.random.default_rng(seed))
        assert out.shape == (size[1], size[0], 3)
        assert out.dtype == np.uint8
        assert truth.shape == (size[1], size[0])
        assert truth.dtype == np.uint8
        assert set(np.unique(truth)) <= {0, 1, 2, 3, UNKNOWN}


def test_augment_repeats_with_the_seed_and_leaves_its_input():
    frame, label_map = sample()
    kept = frame.copy(), label_map.copy()
    runs = [augment(frame, label_map, (64, 48), (96, 64), CROPS, np.random.default_rng(s))
            for s in (7, 7, 8)]
    assert (runs[0][0] == runs[1][0]).all()
    assert (runs[0][1] == runs[1][1]).all()
    assert (runs[0][0] != runs[2][0]).any()
    assert (frame == kept[0]).all()
    assert (label_map == kept[1]).all()


@pytest.mark.parametrize(('geometry', 'resolution'), [
    (CROPS, (192, 128)), (CROPS, (128, 96)), (WHOLE_FRAMES, (96, 64))])
def test_labels_follow_the_geometry(geometry, resolution):
    frame, label_map = sample((192, 128))
    for seed in range(10):
        out, truth = geometric(frame, label_map, (96, 64), resolution, geometry,
                                 np.random.default_rng(seed))
        distance = np.abs(out[..., None, :].astype(int) - CLASS_COLORS).sum(-1)
        inside = truth != UNKNOWN
        # Colors mix along borders, where either label is right.
        assert (distance.argmin(-1) == truth)[inside].mean() > 0.93


def test_plain_view_is_the_frame_or_its_mirror():
    frame, label_map = sample()
    orientations = set()
    for seed in range(10):
        out, truth = geometric(frame, label_map, (96, 64), (96, 64), PLAIN,
                                 np.random.default_rng(seed))
        mirrored = bool((out == frame[:, ::-1]).all())
        assert mirrored or (out == frame).all()
        assert (truth == (label_map[:, ::-1] if mirrored else label_map)).all()
        orientations.add(mirrored)
    assert orientations == {True, False}


def test_labels_outside_the_frame_do_not_count():
    frame, label_map = sample((32, 32))
    _, truth = geometric(frame, label_map, (64, 64), (32, 32), Geometry((1, 1), 1, 0, 0, 0),
                           np.random.default_rng(0))
    assert (truth == UNKNOWN).mean() == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize('frame_size', [(96, 64), (192, 64), (384, 320)])
def test_crops_have_the_scale_of_the_resolution_when_frames_have_another(frame_size):
    width, height = frame_size
    label_map = np.zeros((height, width), np.uint8)
    label_map[height // 4:height * 3 // 4, width // 3:width * 2 // 3] = 1
    crop = Geometry((1, 1), 1, 0, 0, 0)
    most = np.zeros(2)
    for seed in range(20):
        _, truth = geometric(CLASS_COLORS[label_map], label_map, (64, 48), (96, 64), crop,
                               np.random.default_rng(seed))
        most = np.maximum(most, [(truth == 1).any(axis).sum() for axis in (0, 1)])
    # A third of 96 columns, half of 64 rows.
    assert most == pytest.approx([32, 32], abs=1)


def test_focus_shows_rare_classes_more_often():
    frame, label_map = np.zeros((128, 192, 3), np.uint8), np.zeros((128, 192), np.uint8)
    label_map[60:64, 10:14] = 3

    def count_visible(focus):
        geometry = Geometry((1, 1), 1, 0, 0, focus)
        return sum((geometric(frame, label_map, (48, 32), (192, 128), geometry,
                                np.random.default_rng(s))[1] == 3).any() for s in range(100))
    assert count_visible(1.0) > 2 * count_visible(0.0)


@pytest.mark.parametrize('change', [change for change, _ in CHANGES],
                         ids=lambda change: change.__name__)
def test_each_change_keeps_shape_and_type_and_repeats(change):
    frame, _ = sample()
    for original in (frame, np.zeros_like(frame), np.full_like(frame, 255)):
        for seed in range(8):
            kept = original.copy()
            out = change(original, np.random.default_rng(seed))
            assert out.shape == original.shape
            assert out.dtype == np.uint8
            assert (out == change(original, np.random.default_rng(seed))).all()
            assert (original == kept).all()


@pytest.mark.parametrize('change', [change for change, _ in CHANGES],
                         ids=lambda change: change.__name__)
@pytest.mark.parametrize('size', [(1, 1), (2, 2), (1, 64)])
def test_each_change_takes_frames_of_a_few_pixels(change, size):
    for seed in range(6):
        assert change(np.full((*size, 3), 90, np.uint8),
                      np.random.default_rng(seed)).shape == (*size, 3)


@pytest.mark.parametrize('change', [change for change, _ in CHANGES],
                         ids=lambda change: change.__name__)
def test_each_change_changes_something(change):
    noisy = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    assert any((change(noisy, np.random.default_rng(seed)) != noisy).any() for seed in range(4))


def test_photometric_of_strength_zero_changes_nothing():
    frame, _ = sample()
    assert (photometric(frame, np.random.default_rng(0), 0.0) == frame).all()


def test_what_is_cut_out_does_not_count():
    frame, label_map = sample()
    out, truth = cut_out(frame, label_map, np.random.default_rng(1))
    hidden = truth == UNKNOWN
    assert 0 < hidden.mean() < 0.2
    assert (out[~hidden] == frame[~hidden]).all()
    assert (truth[~hidden] == label_map[~hidden]).all()


# The formulas of the changes that work in strips of rows, on the whole frame at once.


def whole_shadow(frame, rng):
    mask = soft_polygon(frame.shape[:2], rng)
    gain = rng.uniform(0.35, 0.8) if rng.random() < 0.75 else rng.uniform(1.2, 1.7)
    factor = 1 + mask.astype(np.float32)[..., None] * ((gain - 1) / 255)
    return np.clip(frame * factor, 0, 255).astype(np.uint8)


def whole_fog(frame, rng):
    rows = np.arange(len(frame), dtype=np.float32)[:, None, None] / len(frame)
    away = np.abs(rows - rng.uniform(0.3, 0.6))
    amount = rng.uniform(0.2, 0.75) * np.exp(-away * rng.uniform(1, 4))
    pale = rng.uniform(140, 240) + rng.uniform(-15, 15, 3).astype(np.float32)
    return (frame * (1 - amount) + pale * amount).astype(np.uint8)


def whole_vignette(frame, rng):
    height, width = frame.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None] - rng.uniform(-0.6, 0.6)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None] - rng.uniform(-0.6, 0.6)
    factor = 1 + rng.uniform(-0.35, 0.15) * (x * x + y * y)
    return np.clip(frame * factor, 0, 255).astype(np.uint8)


def with_grain(frame, deviation, rng):
    grain = rng.standard_normal(frame.shape, np.float32) * np.float32(deviation)
    return np.clip(frame + grain, 0, 255).astype(np.uint8)


def whole_noise(frame, rng):
    if rng.random() < 0.5:
        return with_grain(frame, rng.uniform(3, 18), rng)
    grain = rng.standard_normal((*frame.shape[:2], 1), np.float32) * rng.uniform(3, 18)
    return np.clip(frame + grain, 0, 255).astype(np.uint8)


def whole_dusk(frame, rng):
    dim = min(1.0, rng.uniform(30, 80) / max(float(frame.mean()), 1.0))
    tint = rng.uniform((0.7, 0.8, 0.8), (1.1, 1.0, 1.1))
    ramp = np.arange(256, dtype=np.float32)[:, None]
    curve = 255 * (ramp / 255) ** rng.uniform(0.9, 1.3) * dim * tint
    curve = np.clip(curve, 0, 255).astype(np.uint8)
    return with_grain(cv2.LUT(frame, curve.reshape(1, 256, 3)), rng.uniform(2, 8), rng)


@pytest.mark.parametrize(('change', 'formula'), [
    (shadow, whole_shadow), (fog, whole_fog), (vignette, whole_vignette), (noise, whole_noise),
    (dusk, whole_dusk)], ids=lambda function: function.__name__)
def test_strips_give_the_bytes_and_the_random_stream_of_the_formula(change, formula):
    frame = np.random.default_rng(0).integers(0, 256, (101, 203, 3), np.uint8)
    assert frame.size > 2 * STRIP_VALUES
    for seed in range(8):
        ours, theirs = np.random.default_rng(seed), np.random.default_rng(seed)
        assert np.array_equal(change(frame, ours), formula(frame, theirs))
        assert ours.random() == theirs.random()
