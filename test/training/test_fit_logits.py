"""Offsets and temperature on logits whose best values are known."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from enet_ros.training.batches import Normalization  # noqa: E402
from enet_ros.training.fit_logits import (  # noqa: E402
    best_offsets,
    best_temperature,
    sample_logits,
)


@pytest.mark.parametrize(('count', 'used'), [(101, range(101)), (1000, [0, 5, 10, 993, 999])])
def test_sampled_logits_are_of_a_bounded_number_of_frames(count, used):
    frames = [(np.full((16, 16, 3), i % 256, np.uint8), np.full((16, 16), i // 256, np.uint8))
              for i in range(count)]
    seen, normalize = [], Normalization()

    def network(x):
        seen.append(round(float(x.mean() * normalize.std[0] + normalize.mean[0]) * 255))
        return torch.zeros(1, 4, 16, 16)
    logits, truth = sample_logits(network, normalize, frames, (16, 16))
    assert logits.shape == (min(count, 200) * 256, 4)
    indices = truth[::256] * 256 + seen
    assert (np.diff(indices) > 0).all()
    assert set(used) <= set(indices.tolist())


def test_offsets_mend_a_class_that_is_claimed_too_rarely():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 4000)
    logits = rng.normal(0, 1, (4000, 2)).astype(np.float32)
    logits[np.arange(4000), truth] += 2
    logits[:, 1] -= 3
    offsets = best_offsets(logits, truth)
    assert offsets[1] - offsets[0] == pytest.approx(3, abs=0.8)
    assert ((logits + offsets).argmax(1) == truth).mean() > (logits.argmax(1) == truth).mean()


def test_the_class_average_lets_a_rare_class_claim_more():
    rng = np.random.default_rng(0)
    truth = (rng.random(20000) < 0.02).astype(int)
    logits = rng.normal(0, 1, (20000, 2)).astype(np.float32)
    logits[np.arange(20000), truth] += 1.5
    for_iou, for_both = (best_offsets(logits, truth, share) for share in (0.0, 4.0))
    assert for_both[1] - for_both[0] > for_iou[1] - for_iou[0] + 0.4


def test_offsets_when_a_class_never_occurs():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 4000)
    logits = rng.normal(0, 1, (4000, 3)).astype(np.float32)
    logits[np.arange(4000), truth] += 3
    logits[:, 2] += 3
    offsets = best_offsets(logits, truth)
    # It can only take pixels away from the others.
    assert offsets[2] - offsets[:2].max() < -1
    assert np.isfinite(offsets).all()
    assert ((logits + offsets).argmax(1) == truth).mean() > 0.9


def test_no_labeled_pixel_changes_nothing():
    logits, truth = np.zeros((0, 3), np.float32), np.zeros(0, np.int64)
    assert np.array_equal(best_offsets(logits, truth), np.zeros(3))
    assert best_temperature(logits, truth) == 1.0


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20000, 3)).astype(np.float32)
    noise = rng.gumbel(size=logits.shape)
    truth = (logits + noise).argmax(1)  # drawn from the softmax of the logits
    assert best_temperature(logits * 2.5, truth) == pytest.approx(2.5, rel=0.08)
