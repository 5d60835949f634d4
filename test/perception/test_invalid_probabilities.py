"""Networks that compute NaN or nothing: their pixels are unknown, and are never free."""

from dataclasses import replace

import numpy as np
import pytest

from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.perception.segmenter import Segmenter
from enet_ros.perception.suspicion import Fault, FrameJudge, sampled_rows

SMALL = (160, 96)


def overflowing(road_id):
    """Weights that are all finite, and whose network computes NaN. Road has a given id."""
    checkpoint = read_checkpoint(weights_path(''))
    names = list(checkpoint.class_map.names)
    road = names.index('Road')
    names[road], names[road_id] = names[road_id], names[road]
    return replace(checkpoint, class_map=ClassMap.from_names(names), tensors={
        name: np.full_like(tensor, 65504) if name.endswith('.weight') and tensor.ndim == 1
        else tensor for name, tensor in checkpoint.tensors.items()})


@pytest.mark.parametrize('backend', ['torch', 'openvino'])
@pytest.mark.parametrize('road_id', [0, 10])
def test_weights_that_overflow_are_refused_at_the_start_and_never_free(backend, road_id):
    segmenter = Segmenter(overflowing(road_id), SMALL, backend, 'float32')
    result = segmenter.segment([np.full((96, 160, 3), 127, np.uint8)], confidence=True)[0]
    assert (result.labels == UNKNOWN).all() and not result.confidence.any()
    assert result.invalid_share == 1.0
    # Nor where only labels are asked for.
    assert (segmenter.segment([np.full((96, 160, 3), 127, np.uint8)])[0].labels == UNKNOWN).all()
    with pytest.raises(ValueError, match='no probability for 100 % of a test image in float32'):
        segmenter.warm_up()


@pytest.mark.parametrize('value', [np.nan, 0.0, 0.08, -np.inf])
def test_pixels_without_a_probability_are_unknown_and_the_frame_is_suspect(
        road_frame, monkeypatch, value):
    segmenter = Segmenter.from_file(resolution=SMALL, precision='float32')
    segmenter.warm_up()
    expected = segmenter.segment([road_frame], confidence=True)[0]
    assert expected.invalid_share == 0.0
    infer = segmenter.backend.infer

    def broken(batch, *, confidence):
        labels, probability = infer(batch, confidence=confidence)
        if probability is not None:
            probability[:, :48] = value
        return labels, probability

    monkeypatch.setattr(segmenter.backend, 'infer', broken)
    batch = segmenter.new_batch(1)
    batch[:] = np.random.default_rng(0).integers(0, 256, batch.shape)
    result = segmenter.infer(batch, confidence=True)[0]
    assert (result.labels[:48] == UNKNOWN).all() and not result.confidence[:48].any()
    assert (result.labels[48:] != UNKNOWN).all() and result.confidence[48:].all()
    assert result.invalid_share == 0.5
    judge = FrameJudge()
    verdict = judge.judge(batch[0, sampled_rows(96)], result, None, 7.0, 0.0)
    assert verdict.fault is Fault.INVALID and 'no probability for 50 %' in verdict.reason
    assert judge.confidence_due_sec <= 7.0  # The next frame has its confidence as well.


def test_every_judge_looks_at_the_confidence_now_and_then(road_frame):
    """A network may begin to compute nonsense, whatever its weights say of their confidence."""
    segmenter = Segmenter.from_file(resolution=SMALL, precision='float32')
    judge, result = FrameJudge(), segmenter.segment([road_frame], confidence=True)[0]
    assert judge.confidence_due_sec <= 3.0
    assert judge.judge(road_frame[::24].copy(), result, None, 3.0, 0.0) is None
    assert 3.0 < judge.confidence_due_sec < 5.0
