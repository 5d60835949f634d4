"""Samples and batches. Every training batch is a function of the run's seed and of its step.

A run that was killed therefore continues with the batches that it would have had, whatever the
number of loading processes. Only with ``--hours`` and no ``--steps`` the time that the run has
taken decides as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate, get_worker_info

from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.network.class_names import class_key
from enet_ros.network.classes import CAMVID_NAMES
from enet_ros.perception.resize import resize_frame
from enet_ros.training.augment import augment
from enet_ros.training.geometric import PLAIN, Geometry
from enet_ros.training.label_sets import class_ids
from enet_ros.training.labeled_frames import DatasetError, SegmentationData
from enet_ros.training.sources import SharePattern

MAX_CACHED_BYTES = 4 << 30  # of a data set, and of synthetic scenes in all loading processes
SYNTHETIC_SCENES = 400  # each is rendered once and then kept if it fits: 0.7 MB at 480x360
MAX_WORKERS = 16


@dataclass(frozen=True)
class Normalization:
    """How frames become the input of a network. The default is for random start weights.

    Attributes:
        mean: Mean of each RGB channel, for values in [0, 1]. The default is that of CamVid.
        std: Standard deviation of each RGB channel, for values in [0, 1].
    """

    mean: tuple[float, float, float] = (0.42,) * 3
    std: tuple[float, float, float] = (0.30,) * 3

    def __call__(self, frames: Tensor) -> Tensor:
        """Convert (N, 3, H, W) uint8 RGB to float32 in channels-last memory."""
        mean, std = (torch.tensor(values, device=frames.device).view(1, 3, 1, 1)
                     for values in (self.mean, self.std))
        return ((frames.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class BatchAugmentation:
    """Settings by which the samples of a batch are made.

    Attributes:
        size: (width, height) of the batch in pixels.
        resolution: (width, height) of the network's input; frames are shown at its scale.
        geometry: Limits of the geometric changes.
        strength: Factor of the chances of the photometric changes; 0 for none.
        synthetic: Chance that a sample comes from the synthetic street.
    """

    size: tuple[int, int]
    resolution: tuple[int, int]
    geometry: Geometry = PLAIN
    strength: float = 0.0
    synthetic: float = 0.0


class Frames:
    """Frames of a data set with their labels, kept in memory if they fit.

    Args:
        data: A split of a data set.
        source: Number of the source in a run of several.
    """

    def __init__(self, data: SegmentationData, source: int = 0):
        self.data, self._source = data, source
        self._epoch_order = (-1, np.empty(0, int))
        self.cached = _read_all(data)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a frame, (H, W, 3) uint8 RGB, and its labels, (H, W) uint8."""
        return self.cached[index] if self.cached else self.data.read(index)

    @property
    def reference(self) -> Frames:
        """The frames from which offsets of the logits are taken."""
        return self

    def shuffled(self, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a sample of the endless sequence of shuffled epochs.

        Args:
            number: Number of the sample.
            seed: Seed of the run.
        """
        epoch, place = divmod(number, len(self))
        if self._epoch_order[0] != epoch:
            key = (seed, 0, epoch, self._source) if self._source else (seed, 0, epoch)
            self._epoch_order = epoch, np.random.default_rng(key).permutation(len(self))
        return self[int(self._epoch_order[1][place])]


def _read_all(data: SegmentationData) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """Read all frames, or return None if they do not fit in memory."""
    if _bytes_of(data.read(0)) * len(data) > MAX_CACHED_BYTES:
        return None  # at once, since most data sets have frames of one size
    pairs, size = [], 0
    for pair in data:
        size += _bytes_of(pair)
        if size > MAX_CACHED_BYTES:
            return None
        pairs.append(pair)
    return pairs


def _bytes_of(pair: tuple[np.ndarray, np.ndarray]) -> int:
    return sum(array.nbytes for array in pair)


class MixedFrames:
    """Frames of several sources, mixed evenly by their shares.

    Args:
        parts: Frames of each source.
        shares: The share of each source.
    """

    def __init__(self, parts: Sequence[Frames], shares: Sequence[float]):
        self.parts, self._pattern = list(parts), SharePattern(shares)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a frame and its labels, as :class:`Frames` does. Indices run through shares."""
        source, number = self._pattern.locate(index)
        return self.parts[source][number % len(self.parts[source])]

    @property
    def reference(self) -> Frames:
        """The first source, whose labels are not coarse."""
        return self.parts[0]

    def shuffled(self, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a sample of the endless sequence in which each source is shuffled."""
        source, number = self._pattern.locate(number)
        return self.parts[source].shuffled(number, seed)


class SyntheticFrames:
    """Frames of random synthetic streets, with the class ids of a data set.

    Args:
        class_map: Class map of the data set. Classes of the street that it lacks become its class
            'other', or 255 if it has none.
        size: (width, height) of the frames in pixels.
        varied: Whether roads of every kind are drawn, instead of streets of a town.

    Raises:
        DatasetError: The street has none of the classes, so nothing could be learned from it.
    """

    def __init__(self, class_map: ClassMap, size: tuple[int, int], *, varied: bool = False):
        ids = class_ids(class_map)
        if not ids.keys() & {class_key(name) for name in CAMVID_NAMES}:
            raise DatasetError('synthetic roads have none of the classes '
                               f'{", ".join(class_map.names)}; wanted some of '
                               f'{", ".join(CAMVID_NAMES)}')
        other = ids.get('other', UNKNOWN)
        self.lut = np.full(256, UNKNOWN, np.uint8)
        self.lut[:len(CAMVID_NAMES)] = [ids.get(class_key(name), other) for name in CAMVID_NAMES]
        self.size, self.varied = size, varied
        self.rendered: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a frame, (height, width, 3) uint8 RGB, and its labels, (height, width) uint8."""
        seed = index % SYNTHETIC_SCENES
        if seed in self.rendered:
            return self.rendered[seed]
        pair, worker = next(self.render(seed)), get_worker_info()
        kept_bytes = (len(self.rendered) + 1) * _bytes_of(pair)
        if kept_bytes * (worker.num_workers if worker else 1) <= MAX_CACHED_BYTES:
            self.rendered[seed] = pair
        return pair

    def render(self, seed: int, count: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Draw frames of one random road, 37 seconds apart.

        Args:
            seed: Number of the road.
            count: Number of frames.

        Yields:
            A frame, (height, width, 3) uint8 RGB, and its labels, (height, width) uint8.
        """
        from enet_ros.scene.road_scene import RoadScene
        scene = RoadScene.random(seed, *self.size, varied=self.varied)
        for number in range(count):
            frame, labels = scene.render(2.0 + seed % 97 + 37.0 * number)
            yield frame, self.lut[labels]


class TrainingSet(Dataset):
    """Augmented samples, addressed by (step, slot, augmentation).

    Args:
        frames: Frames of the training split, or of several sources.
        synthetic: Frames of the synthetic street, or None.
        seed: Seed of the run.
        batch: Number of samples in a step, over all processes.
    """

    def __init__(self, frames: Frames | MixedFrames, synthetic: SyntheticFrames | None,
                 seed: int, batch: int):
        self.frames, self.synthetic, self.seed, self.batch = frames, synthetic, seed, batch

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, key: tuple[int, int, BatchAugmentation]) -> tuple[Tensor, Tensor]:
        """Return a frame, (3, H, W) uint8 RGB, and its labels, (H, W) uint8."""
        step, slot, wanted = key
        rng = np.random.default_rng((self.seed, 1, step, slot))
        if self.synthetic and rng.random() < wanted.synthetic:
            frame, labels = self.synthetic[int(rng.integers(1 << 30))]
        else:
            frame, labels = self.frames.shuffled(step * self.batch + slot, self.seed)
        frame, labels = augment(frame, labels, wanted.size, wanted.resolution, wanted.geometry,
                                rng, wanted.strength)
        return torch.from_numpy(frame).permute(2, 0, 1), torch.from_numpy(labels)


class StepSampler(Sampler):
    """The keys of each step's samples, from a given step on, without end.

    Args:
        first: The first step.
        batch: Number of samples in a step of this process.
        rank: Rank of this process.
        augmentation_at: Returns the augmentation of a step.
    """

    def __init__(self, first: int, batch: int, rank: int,
                 augmentation_at: Callable[[int], BatchAugmentation]):
        self.first, self.batch, self.rank = first, batch, rank
        self.augmentation_at = augmentation_at

    def __iter__(self) -> Iterator[list[tuple[int, int, BatchAugmentation]]]:
        step = self.first
        while True:
            augmentation = self.augmentation_at(step)
            yield [(step, self.rank * self.batch + i, augmentation) for i in range(self.batch)]
            step += 1


class ValidationSet(Dataset):
    """This process's share of the frames at the network's size, with labels at their own size.

    Args:
        frames: Frames of a split.
        size: (width, height) of the network's input in pixels.
        rank: Rank of this process.
        world: Number of processes.
    """

    def __init__(self, frames: Frames, size: tuple[int, int], rank: int = 0, world: int = 1):
        self.frames, self.size = frames, size
        self.indices = list(range(rank, len(frames), world))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Tensor, np.ndarray]:
        """Return a frame, (3, height, width) uint8 RGB, and its labels, (H, W) uint8."""
        frame, labels = self.frames[self.indices[index]]
        return torch.from_numpy(resize_frame(frame, self.size)).permute(2, 0, 1), labels


def stack_samples(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Stack samples; the frames keep the memory order of their pixels (channels last).

    Args:
        samples: Frames (3, H, W), of which the channels are the last dimension in memory, and
            labels (H, W), all uint8.

    Returns:
        (N, 3, H, W) uint8 in channels-last memory, and (N, H, W) uint8.
    """
    frames, labels = default_collate([(frame.permute(1, 2, 0), truth) for frame, truth in samples])
    return frames.permute(0, 3, 1, 2), labels


def _stack_frames(samples: list) -> tuple[Tensor, list[np.ndarray]]:
    """Stack frames and list labels, which may differ in size."""
    return torch.stack([frame for frame, _ in samples]), [labels for _, labels in samples]


def _use_one_thread(_worker: int) -> None:
    cv2.setNumThreads(1)


def default_workers(*, on_gpu: bool, processes: int = 1) -> int:
    """Choose the number of loading processes for each training process on this machine.

    A GPU leaves the CPU's cores free for augmentation, except one that feeds the GPU. Without a
    GPU the network itself uses all cores, so loading processes would only take them from it.

    Args:
        on_gpu: Whether the network trains on a GPU.
        processes: Number of training processes on this machine.

    Returns:
        0 without a GPU, else 1 to ``MAX_WORKERS``.
    """
    if not on_gpu:
        return 0
    cores = len(os.sched_getaffinity(0)) // processes
    return min(MAX_WORKERS, max(1, cores - 1))


def training_loader(data: TrainingSet, sampler: StepSampler, workers: int) -> DataLoader:
    """Load training batches, see :func:`stack_samples`.

    Loading processes are forked, so that all of them share the frames in memory. Python 3.14
    starts processes otherwise, to which gigabytes of frames would be copied.
    """
    return DataLoader(data, batch_sampler=sampler, num_workers=workers, collate_fn=stack_samples,
                      worker_init_fn=_use_one_thread, pin_memory=torch.cuda.is_available(),
                      multiprocessing_context='fork' if workers else None)


def validation_loader(data: ValidationSet, batch: int) -> DataLoader:
    """Load validation batches: (N, 3, H, W) uint8 and a list of N label maps."""
    return DataLoader(data, batch_size=batch, collate_fn=_stack_frames)
