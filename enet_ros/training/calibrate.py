"""After training: offsets of the logits for the best IoU, and a temperature for confidences."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from enet_ros.network.enet import ENet
from enet_ros.perception.resize import resize_labels
from enet_ros.training.batches import Frames, ValidationSet, normalize
from enet_ros.training.datasets import IGNORE

PIXELS_A_FRAME = 6000  # neighbours say the same
FRAMES = 200  # the logits of SUN RGB-D's 5,050 would take 4.5 GB, and twice that to divide
OFFSET_STEPS = (0.5, 0.25)
#: How much the class average counts beside the class IoU. Chosen on CamVid's validation frames,
#: with offsets from the training frames: 0 gave 69.1 and 79.1, 1.5 gave 67.4 and 81.8, 4 gave 65.0
#: and 82.4. A person or a cyclist who is missed costs more than one who is claimed too large.
CLASS_AVERAGE_SHARE = 1.5

TEMPERATURES = np.exp(np.linspace(np.log(0.3), np.log(4.0), 60))


@torch.no_grad()
def sample_logits(network: ENet, frames: Frames,
                  size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Compute the logits of random labelled pixels of up to ``FRAMES`` frames, spread evenly.

    Args:
        network: in eval mode, on the CPU.
        frames: of a split.
        size: (width, height) of the network's input.

    Returns:
        Logits (N, num_classes) float32, and class ids (N,) int64.
    """
    data, rng, logits, truths = ValidationSet(frames, size), np.random.default_rng(0), [], []
    for index in np.linspace(0, len(data) - 1, min(FRAMES, len(data))).astype(int):
        frame, labels = data[int(index)]
        truth = resize_labels(labels, size).reshape(-1)
        kept = rng.choice(truth.size, min(PIXELS_A_FRAME, truth.size), replace=False)
        kept = kept[truth[kept] != IGNORE]
        logits.append(network(normalize(frame[None]))[0].flatten(1).T.numpy()[kept])
        truths.append(truth[kept].astype(np.int64))
    return np.concatenate(logits), np.concatenate(truths)


def best_offsets(logits: np.ndarray, truth: np.ndarray,
                 class_average_share: float = CLASS_AVERAGE_SHARE) -> np.ndarray:
    """Find what to add to each class's logit for the best class IoU and class average.

    Class weights make rare classes claim too much or too little; the likelihood that training
    maximises does not say which decision gives the best IoU. One class at a time, up or down
    while it helps.

    Args:
        logits: (N, num_classes), of training frames.
        truth: class ids, (N,).
        class_average_share: how much the class average counts beside the class IoU.

    Returns:
        (num_classes,) float32, to add to the bias of the last layer.
    """
    offsets = np.zeros(logits.shape[1], np.float32)
    best = _decision_score(logits, truth, class_average_share)
    moves = [(k, sign * step) for step in OFFSET_STEPS for k in range(len(offsets))
             for sign in (1, -1)]
    for class_id, move in moves:
        while True:
            tried = offsets.copy()
            tried[class_id] += move
            score = _decision_score(logits + tried, truth, class_average_share)
            if score <= best + 1e-5:
                break
            offsets, best = tried, score
    return offsets


def _decision_score(logits: np.ndarray, truth: np.ndarray, class_average_share: float) -> float:
    """Return class IoU plus a share of the class average, of the decisions by argmax."""
    classes = logits.shape[1]
    cells = np.bincount(truth * classes + logits.argmax(1), minlength=classes ** 2)
    matrix = cells.reshape(classes, classes)
    hits, rows, columns = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    seen = rows > 0
    iou, accuracy = hits[seen] / (rows + columns - hits)[seen], hits[seen] / rows[seen]
    return float(iou.mean() + class_average_share * accuracy.mean())


def best_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """Find the temperature of least negative log likelihood (Guo et al., 2017).

    Args:
        logits: (N, num_classes), of validation frames.
        truth: class ids, (N,).

    Returns:
        The temperature that divides the logits.
    """
    pair = torch.from_numpy(logits), torch.from_numpy(truth)
    losses = [float(F.cross_entropy(pair[0] / t, pair[1])) for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])
