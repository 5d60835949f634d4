"""Which frames are suspect, and which only look so."""

from functools import cache

import cv2
import numpy as np
import pytest

from enet_ros.perception import suspicion
from enet_ros.perception.encodings import RawImage
from enet_ros.perception.resize import resize_frame
from enet_ros.perception.segmenter import Segmentation
from enet_ros.perception.suspicion import (
    BLOCKS_PER_ROW,
    LEAST_LOOKS,
    LEAST_SHARPNESS,
    LOOKS,
    Fault,
    FrameJudge,
    fault_of_looks,
    fault_of_sample,
    mean_confidence,
    sampled_rows,
    sharpness,
)
from enet_ros.scene.road_scene import RoadScene

SIZE = (640, 360)
SIZES = [(640, 360), (160, 96), (320, 184), (1280, 720), (8, 8)]


def sampled(frame, size=SIZE):
    """Return the rows of a frame that are judged, at a size of the network."""
    return resize_frame(frame, size)[sampled_rows(size[1])].copy()


def fault(frame, size=SIZE):
    """Return what a new judge says of one frame, or None."""
    verdict = FrameJudge().judge(sampled(frame, size), unsure(1.0), None, 0.0, 0.0)
    again = fault_of_sample(sampled(frame, size))
    assert (verdict and verdict.fault) == (again and again.fault)  # The short cut is safe.
    return verdict and verdict.fault


def unsure(confidence):
    return Segmentation(np.zeros((360, 640), np.uint8),
                        np.full((360, 640), confidence, np.float32))


def noise(level, deviation, seed=0):
    values = np.random.default_rng(seed).normal(level, deviation, (360, 640, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def with_hot_pixels(frame):
    frame = frame.copy()
    rng = np.random.default_rng(1)
    frame[rng.integers(0, 360, 2000), rng.integers(0, 640, 2000)] = 255
    return frame


def with_text(frame):
    """Write over a frame what cameras and grabbers show without a signal."""
    frame = frame.copy()
    cv2.putText(frame, 'NO SIGNAL', (200, 190), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (255, 255, 255), 4)
    cv2.putText(frame, '2026-11-26 12:00', (10, 350), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255,) * 3, 2)
    return frame


def color_bar():
    return np.broadcast_to(np.uint8((12, 90, 40)), (360, 640, 3)).copy()


@pytest.mark.parametrize(('frame', 'said'), [
    (noise(0, 0), Fault.BLACK), (noise(16, 0), Fault.BLACK), (noise(6, 5), Fault.BLACK),
    (with_hot_pixels(noise(4, 4)), Fault.BLACK), (noise(4, 2), Fault.BLACK),
    (noise(255, 0), Fault.WHITE), (noise(252, 3), Fault.WHITE), (noise(255, 5), Fault.WHITE),
    (noise(128, 0), Fault.UNIFORM), (noise(60, 6), Fault.UNIFORM),
    (noise((0, 0, 255), 0), Fault.UNIFORM), (color_bar(), Fault.UNIFORM),
    (with_text(noise((20, 20, 200), 2)), Fault.UNIFORM), (with_text(noise(4, 3)), Fault.UNIFORM),
    (noise(30, 8), Fault.UNIFORM), (noise(128, 40), Fault.NOISE), (noise(30, 30), Fault.NOISE),
    (cv2.resize(noise(128, 80)[:180, :320], SIZE), Fault.NOISE)])
def test_a_frame_without_a_scene_is_suspect_at_once(frame, said):
    assert fault(frame) is said


def sample_of(level, columns):
    """Return the sampled rows of a frame of one gray level, with other levels in some columns."""
    sample = np.full((16, 640, 3), level, np.uint8)
    for first, last, other_level in columns:
        sample[:, first:last] = other_level
    return sample


@pytest.mark.parametrize(('sample', 'said'), [
    (sample_of(250, [(40, 60, 0), (280, 300, 0), (560, 580, 0)]), Fault.WHITE),  # three posts
    (sample_of(0, [(320, 640, 20), (100, 112, 255)]), Fault.BLACK),              # glow and a lamp
], ids=['white', 'black'])
def test_a_frame_that_is_nearly_black_or_white_is_suspect_in_spite_of_its_structure(sample, said):
    assert fault_of_sample(sample).fault is said
    assert FrameJudge().judge(sample, unsure(1.0), None, 0.0, 0.0).fault is said


@pytest.mark.parametrize('size', SIZES)
def test_black_and_white_are_found_at_any_resolution(size):
    assert fault(noise(3, 3), size) is Fault.BLACK
    assert fault(noise(255, 2), size) is Fault.WHITE


def at_night(frame):
    """Dim a street, and add lamps, the beam of the vehicle and the noise of a dark sensor."""
    dark = cv2.convertScaleAbs(frame, alpha=0.16)
    cv2.ellipse(dark, (320, 330), (200, 60), 0, 0, 360, (50, 48, 40), -1)
    for x in range(40, 640, 120):
        cv2.circle(dark, (x, 140), 5, (255, 240, 200), -1)
    return np.clip(dark + np.random.default_rng(0).normal(0, 3, dark.shape), 0, 255
                   ).astype(np.uint8)


def in_a_tunnel(frame):
    """Darken all but the way out, which is saturated."""
    dark = cv2.convertScaleAbs(frame, alpha=0.1)
    cv2.ellipse(dark, (320, 170), (60, 45), 0, 0, 360, (255, 255, 255), -1)
    return dark


def under_a_wide_sky(frame):
    bright = frame.copy()
    bright[:250] = 255
    return bright


@cache
def random_street(seed):
    return RoadScene.random(seed).render(seed + 1.0)[0]


SCENES = {
    'a street': lambda frame: frame,
    'night': at_night,
    'a tunnel': in_a_tunnel,
    'snow': lambda frame: cv2.convertScaleAbs(frame, alpha=0.3, beta=178),
    'fog': lambda frame: cv2.convertScaleAbs(frame, alpha=0.25, beta=130),
    'a wide sky': under_a_wide_sky,
    'a gray camera': lambda frame: cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY),
                                                cv2.COLOR_GRAY2RGB),
    'a camera of 160x120': lambda frame: cv2.resize(frame, (160, 120),
                                                    interpolation=cv2.INTER_AREA),
    'a noisy camera': lambda frame: cv2.add(frame, noise(20, 20)),
    'half of it covered': lambda frame: np.where(np.arange(640)[:, None] < 300, 0, frame
                                                 ).astype(np.uint8),
}


@pytest.mark.parametrize('scene', SCENES)
def test_a_frame_with_a_scene_is_not_suspect(scene):
    judge = FrameJudge()
    for seed in range(LEAST_LOOKS + 1):
        frame = SCENES[scene](random_street(seed))
        verdict = judge.judge(sampled(frame), unsure(1.0), None, seed * 2.0, 5.0)
        assert verdict is None, verdict


def test_frames_of_real_streets_are_not_suspect(shared):
    paths = [path for folder, pattern, step in (
        ('camvid/train', '*.png', 12), ('roads/idd_lite', '*.jpg', 20), ('roads/lums', '*.jpg', 20)
    ) for path in sorted((shared / folder).glob(pattern))[::step]]
    if not paths:
        pytest.skip('the frames of streets are not here')
    for path in paths:
        sample = sampled(cv2.imread(str(path))[..., ::-1])
        assert fault_of_sample(sample) is None, path
        assert sharpness(sample) > LEAST_SHARPNESS, path


def looks(frame, confidence=1.0, least_confidence=0.0, count=LEAST_LOOKS):
    """Show moving frames for some looks, and return the last verdict."""
    judge = FrameJudge(least_confidence)
    for second in range(count):
        moved = np.roll(frame, 8 * second, axis=1)
        verdict = judge.judge(sampled(moved), unsure(confidence), None, second * 1.01, 5.0)
    return verdict and verdict.fault


@cache
def rendered():
    return RoadScene().render(1.0)[0]


def street(second=1):
    """Return a street that moves with the time."""
    return np.roll(rendered(), int(100 * second), axis=1)


@pytest.mark.parametrize('sigma', [8, 12, 25])
def test_frames_that_stay_blurred_are_suspect(sigma):
    assert looks(cv2.GaussianBlur(street(), (0, 0), sigma)) is Fault.BLURRED


def test_a_blur_of_a_moment_is_not_suspect():
    blurred = cv2.GaussianBlur(street(), (0, 0), 12)
    assert looks(blurred, count=LEAST_LOOKS - 1) is None
    judge = FrameJudge()
    for second in range(3 * LOOKS):
        frame = blurred if second % 3 == 0 else street(second)
        assert judge.judge(sampled(np.roll(frame, second, axis=1)), unsure(1.0), None,
                           second * 1.01, 5.0) is None


def test_sharpness_hardly_depends_on_light():
    bright, dark = (sharpness(sampled(cv2.convertScaleAbs(street(), alpha=a))) for a in (1.0, 0.2))
    assert dark == pytest.approx(bright, rel=0.15)


def test_a_confidence_that_stays_down_is_suspect():
    assert looks(street(), confidence=0.6, least_confidence=0.75) is Fault.UNSURE
    assert looks(street(), confidence=0.8, least_confidence=0.75) is None
    assert looks(street(), confidence=0.6, least_confidence=0.0) is None
    assert looks(street(), 0.6, 0.75, count=LEAST_LOOKS - 1) is None


def test_the_median_of_the_looks_is_judged():
    judge = FrameJudge(0.5)
    for second, confidence in enumerate([0.6] * 6 + [0.01] * 4):  # Their mean is 0.36.
        verdict = judge.judge(sampled(street(second)), unsure(confidence), None, second * 1.5, 0.0)
        assert verdict is None


def test_the_confidence_recovers_by_itself():
    judge, seconds = FrameJudge(0.75), 0.0
    for confidence in [0.6] * LOOKS + [0.9] * LOOKS:
        verdict = judge.judge(sampled(street(seconds)), unsure(confidence), None, seconds, 0.0)
        seconds += 1.0
        if seconds == LOOKS:
            assert verdict.fault is Fault.UNSURE
            assert '0.60, below 0.75 of these weights' in verdict.reason
    assert verdict is None


def test_the_confidence_is_asked_for_once_a_second(monkeypatch):
    judge, asked = FrameJudge(0.75), 0
    for tick in range(150):  # 10 s at 15 Hz
        now_sec = 1.0 + tick / 15
        is_asked = now_sec >= judge.confidence_due_sec
        asked += is_asked
        segmentation = unsure(0.6)
        if not is_asked:
            segmentation = Segmentation(segmentation.labels)
        verdict = judge.judge(sampled(street(tick / 15)), segmentation, None, now_sec, 0.0)
    assert 9 <= asked <= 11
    assert verdict.fault is Fault.UNSURE


def test_the_frame_after_one_without_probabilities_has_its_confidence_at_once():
    judge = FrameJudge()
    assert judge.judge(sampled(street()), unsure(1.0), None, 10.0, 0.0) is None
    assert judge.confidence_due_sec == 11.0
    overflown = Segmentation(unsure(1.0).labels, unsure(1.0).confidence, 0.5)
    assert judge.judge(sampled(street()), overflown, None, 10.1, 0.0).fault is Fault.INVALID
    assert judge.confidence_due_sec <= 10.1


def test_pixels_of_unlabeled_classes_have_no_confidence_to_count():
    labels = np.full((32, 32), 255, np.uint8)
    labels[:, :16] = 3
    confidence = np.where(labels == 3, 0.8, 0.0).astype(np.float32)
    assert mean_confidence(Segmentation(labels, confidence)) == pytest.approx(0.8)
    labels[:] = 255
    assert mean_confidence(Segmentation(labels, confidence)) == 1.0


def raw(frame):
    return RawImage(frame, None)


def test_the_same_pixels_are_frozen_after_the_timeout():
    judge, frame = FrameJudge(), street()
    said = [judge.judge(sampled(frame), unsure(1.0), raw(frame.copy()), second, 3.0)
            for second in range(7)]
    assert [bool(verdict) for verdict in said] == [False] * 4 + [True] * 3
    assert 'has changed for 5 s (frozen_timeout 3.0)' in said[-1].reason
    moved = street(2.0)
    assert judge.judge(sampled(moved), unsure(1.0), raw(moved), 7.0, 3.0) is None
    assert judge.judge(sampled(frame), unsure(1.0), raw(frame), 8.0, 3.0) is None


@pytest.mark.parametrize('count', [2, 4, 8])
def test_a_ring_of_buffers_that_comes_again_and_again_is_frozen(count):
    judge, ring = FrameJudge(), [street(second) for second in range(count)]
    said = [judge.judge(sampled(frame), unsure(1.0), raw(frame), index, 5.0)
            for index, frame in enumerate(ring * 8)]
    assert not any(said[:count + 5])
    assert all(said[2 * count + 5:]) and said[-1].fault is Fault.FROZEN
    assert f'the same {count} images have come again and again for' in said[-1].reason
    moved = street(0.5)
    assert judge.judge(sampled(moved), unsure(1.0), raw(moved), 8 * count, 5.0) is None
    assert judge.judge(sampled(ring[0]), unsure(1.0), raw(ring[0]), 8 * count + 1, 5.0) is None


def test_two_images_that_alternate_between_new_ones_are_not_frozen():
    judge, still = FrameJudge(), street(0)
    for index in range(40):
        frame = still if index % 2 else street(index)
        assert judge.judge(sampled(frame), unsure(1.0), raw(frame), index, 5.0) is None


@pytest.mark.parametrize('timeout', [0.0, 3600.0])
def test_a_still_image_may_be_allowed(timeout):
    judge, frame = FrameJudge(), street()
    for second in range(30):
        assert judge.judge(sampled(frame), unsure(1.0), raw(frame), second, timeout) is None


def test_one_pixel_between_the_sampled_rows_keeps_an_image_alive():
    judge, frame = FrameJudge(), street()
    for second in range(10):
        frame[-1, 5] = second
        assert judge.judge(sampled(frame), unsure(1.0), raw(frame), second, 3.0) is None


def test_a_black_frame_between_two_equal_ones_is_a_change():
    judge, frame = FrameJudge(), street()
    for second in range(10):
        shown = noise(0, 2) if second % 3 == 2 else frame
        verdict = judge.judge(sampled(shown), unsure(1.0), raw(shown), second, 2.0)
        assert verdict is None or verdict.fault is Fault.BLACK


def test_padding_that_changes_does_not_hide_a_frozen_image():
    judge, frame = FrameJudge(), street()
    for second in range(10):
        padded = np.random.default_rng(second).integers(0, 256, (360, 700, 3), np.uint8)
        padded[:, :640] = frame
        verdict = judge.judge(sampled(frame), unsure(1.0), raw(padded[:, :640]), second, 3.0)
    assert verdict.fault is Fault.FROZEN


def test_after_a_black_frame_the_looks_start_anew():
    judge = FrameJudge(0.75)
    for second in range(8):
        judge.judge(sampled(street(second)), unsure(0.6), None, second, 0.0)
    assert judge.judge(sampled(noise(0, 2)), unsure(0.6), None, 8.0, 0.0).fault is Fault.BLACK
    assert judge.judge(sampled(street()), unsure(0.6), None, 9.0, 0.0) is None


def test_looks_of_a_minute_ago_judge_no_frame_of_now():
    judge, seconds = FrameJudge(0.75), 0.0
    for _ in range(LOOKS):
        judge.judge(sampled(street()), unsure(0.5), None, seconds, 0.0)
        seconds += 1.0
    frame = sampled(street()).copy()
    assert judge.judge(frame, Segmentation(np.zeros((360, 640), np.uint8)), None, seconds, 0.0)
    seconds += 70.0  # Meanwhile nobody subscribed.
    assert judge.judge(frame, unsure(0.9), None, seconds, 0.0) is None


def test_a_black_camera_has_its_confidence_once_a_second_too():
    judge, black, asked = FrameJudge(0.75), np.zeros((16, 640, 3), np.uint8), 0
    for step in range(100):
        due = 0.1 * step >= judge.confidence_due_sec
        asked += due
        result = unsure(0.9) if due else Segmentation(np.zeros((360, 640), np.uint8))
        assert judge.judge(black, result, None, 0.1 * step, 0.0).fault is Fault.BLACK
    assert 9 <= asked <= 11


def test_reasons_name_the_values_and_what_to_check():
    for frame, words in ((noise(2, 0), ('black', '100 %', 'lens cap', 'bit_depth')),
                         (noise(255, 0), ('saturated', 'exposure')),
                         (noise((10, 20, 200), 0), ('one color', '10, 20, 200', 'driver')),
                         (noise(100, 50), ('noise', 'encoding and step'))):
        reason = fault_of_sample(sampled(frame)).reason
        assert all(word in reason for word in words), reason
    assert 'focus' in fault_of_looks(0.12, 1.0, 0.0).reason
    assert 'rotate' in fault_of_looks(1.0, 0.5, 0.7).reason


def test_only_a_few_thousand_pixels_are_read():
    for size in SIZES:
        count = sampled(street(), size).shape[0]
        assert count == len(range(size[1])[sampled_rows(size[1])])
        assert count <= 2 * suspicion.SAMPLED_ROWS
    assert BLOCKS_PER_ROW <= SIZE[0]
