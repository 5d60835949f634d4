"""Training and validation batches; every training batch is a function of the seed and its step.

So a run that was killed continues with the very batches it would have seen, with any number of
loading processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from enet_ros.network.class_map import ClassMap, parameter_name
from enet_ros.network.classes import CAMVID_NAMES
from enet_ros.perception.resize import resize_frame
from enet_ros.training.augment import PLAIN, Geometry, augment
from enet_ros.training.datasets import IGNORE, SegmentationData

MAX_CACHED_BYTES = 4 << 30
DRAWN_SCENES = 400  # rendered once each, then kept: 0.7 MB each at 480x360


@dataclass(frozen=True)
class Look:
    """How a batch is made.

    Attributes:
        size: (width, height) of the batch.
        resolution: (width, height) of the network's input; frames are seen at its scale.
        geometry: how far the view may move.
        strength: of the changes of colour, light and texture; 0 for none.
        drawn: chance that a sample comes from the drawn scene.
    """

    size: tuple[int, int]
    resolution: tuple[int, int]
    geometry: Geometry = PLAIN
    strength: float = 0.0
    drawn: float = 0.0


class Frames:
    """Frames of a data set, kept in memory if they fit.

    Args:
        data: a split.
    """

    def __init__(self, data: SegmentationData):
        self.data = data
        frame, labels = data.read(0)
        fits = (frame.nbytes + labels.nbytes) * len(data) <= MAX_CACHED_BYTES
        self.cached = list(data) if fits else None

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.cached[index] if self.cached else self.data.read(index)

    def pixel_counts(self) -> np.ndarray:
        """Count the pixels of each class, (num_classes,)."""
        counts = sum(np.bincount(self[i][1].ravel(), minlength=256) for i in range(len(self)))
        return counts[:len(self.data.class_map)]


class DrawnFrames:
    """Frames of random drawn road scenes, in the class ids of a data set.

    Args:
        class_map: of the data set; drawn classes it does not name become 255.
        size: (width, height) of the frames.
    """

    def __init__(self, class_map: ClassMap, size: tuple[int, int]):
        ids = {parameter_name(name).lower(): i for i, name in enumerate(class_map.names)}
        self.lut = np.full(256, IGNORE, np.uint8)
        self.lut[:len(CAMVID_NAMES)] = [ids.get(name.lower(), IGNORE) for name in CAMVID_NAMES]
        self.size = size
        self.rendered: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        seed = index % DRAWN_SCENES
        if seed not in self.rendered:
            self.rendered[seed] = self._render(seed)
        return self.rendered[seed]

    def _render(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        from enet_ros.scene.road_scene import RoadScene
        frame, labels = RoadScene.random(seed, *self.size).render(2.0 + seed % 97)
        return frame, self.lut[labels]


class TrainingSet(Dataset):
    """Augmented samples, addressed by (step, slot, look).

    Args:
        frames: of the training split.
        drawn: frames of the drawn scene, or None.
        seed: of the run.
        batch: samples a step, over all processes.
    """

    def __init__(self, frames: Frames, drawn: DrawnFrames | None, seed: int, batch: int):
        self.frames, self.drawn, self.seed, self.batch = frames, drawn, seed, batch
        self._shuffled = (-1, np.empty(0, int))

    def __len__(self) -> int:
        return len(self.frames)

    def _order(self, epoch: int) -> np.ndarray:
        """Return the frames in the order of an epoch."""
        if self._shuffled[0] != epoch:
            rng = np.random.default_rng((self.seed, 0, epoch))
            self._shuffled = epoch, rng.permutation(len(self.frames))
        return self._shuffled[1]

    def __getitem__(self, key: tuple[int, int, Look]) -> tuple[Tensor, Tensor]:
        """Return (3, H, W) uint8 RGB and (H, W) int64 labels."""
        step, slot, look = key
        rng = np.random.default_rng((self.seed, 1, step, slot))
        if self.drawn and rng.random() < look.drawn:
            frame, labels = self.drawn[int(rng.integers(1 << 30))]
        else:
            epoch, place = divmod(step * self.batch + slot, len(self.frames))
            frame, labels = self.frames[self._order(epoch)[place]]
        return to_tensors(*augment(frame, labels, look.size, look.resolution, look.geometry, rng,
                                   look.strength))


class StepSampler(Sampler):
    """The keys of each step's samples, from a step on and without end.

    Args:
        first: the step to begin with.
        batch: samples a step in this process.
        rank: of this process.
        look_at: step -> how that step's batch is made.
    """

    def __init__(self, first: int, batch: int, rank: int, look_at: Callable[[int], Look]):
        self.first, self.batch, self.rank, self.look_at = first, batch, rank, look_at

    def __iter__(self) -> Iterator[list[tuple[int, int, Look]]]:
        step = self.first
        while True:
            look = self.look_at(step)
            yield [(step, self.rank * self.batch + i, look) for i in range(self.batch)]
            step += 1


class ValidationSet(Dataset):
    """Frames at the network's size with labels at their own, this process's share of them."""

    def __init__(self, frames: Frames, size: tuple[int, int], rank: int = 0, world: int = 1):
        self.frames, self.size = frames, size
        self.indices = list(range(rank, len(frames), world))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Tensor, np.ndarray]:
        """Return (3, height, width) uint8 RGB and (H, W) uint8 labels."""
        frame, labels = self.frames[self.indices[index]]
        return torch.from_numpy(resize_frame(frame, self.size)).permute(2, 0, 1), labels


def to_tensors(frame: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return (3, H, W) uint8 and (H, W) int64."""
    return torch.from_numpy(frame).permute(2, 0, 1), torch.from_numpy(labels.astype(np.int64))


def _keep_labels(samples: list) -> tuple[Tensor, list[np.ndarray]]:
    """Stack frames; labels may differ in size."""
    return torch.stack([frame for frame, _ in samples]), [labels for _, labels in samples]


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(1)


def training_loader(data: TrainingSet, sampler: StepSampler, workers: int) -> DataLoader:
    """Load training batches."""
    return DataLoader(data, batch_sampler=sampler, num_workers=workers,
                      worker_init_fn=_one_thread, pin_memory=torch.cuda.is_available())


def validation_loader(data: ValidationSet, batch: int, workers: int) -> DataLoader:
    """Load validation batches: (N, 3, H, W) uint8 and a list of N label maps."""
    return DataLoader(data, batch_size=batch, collate_fn=_keep_labels, num_workers=workers,
                      worker_init_fn=_one_thread)
