"""The mean confidence below which a frame is unlike the training images.

docs/suspect_frames.md says how the limit is chosen, and how often it is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from enet_ros.media import SourceError, Video, is_video, list_images, read_image
from enet_ros.network.checkpoint import Checkpoint
from enet_ros.perception.resize import resize_frame
from enet_ros.perception.segmenter import Segmenter
from enet_ros.perception.suspicion import mean_confidence
from enet_ros.training.labeled_frames import SegmentationData
from enet_ros.training.ruin import RUINS

FRAMES = 40     # of those that are ruined in each way
#: Share of the ruined frames below the limit. With 0.5 a dirty lens is missed half of the time.
#: With 0.9 streets of another country are suspect too often (docs/suspect_frames.md).
RUINED_SHARE = 0.75
MARGIN = 0.02   # The limit is so far below the least confidence of a clean frame.


@dataclass(frozen=True)
class ConfidenceLimit:
    """The limit, and what it was chosen by.

    Attributes:
        least_confidence: The limit, or 0 if clean and ruined frames cannot be told apart.
        clean: (N,) mean confidences of the frames as they are.
        ruined: Name of a ruin -> (N,) mean confidences of the frames after it.
    """

    least_confidence: float
    clean: np.ndarray
    ruined: dict[str, np.ndarray]

    @property
    def finds_nothing(self) -> bool:
        """Whether no ruined frame lies below the limit."""
        return not any((values < self.least_confidence).any() for values in self.ruined.values())

    def table(self) -> str:
        """Return the confidences as text."""
        lines = [f'{"":<14}{"10 %":>7}{"median":>8}{"90 %":>7}{"below the limit":>18}']
        for name, values in {'as they are': self.clean, **self.ruined}.items():
            low, median, high = np.percentile(values, (10, 50, 90))
            below = 100 * (values < self.least_confidence).mean()
            lines.append(f'{name:<14}{low:>7.2f}{median:>8.2f}{high:>7.2f}{below:>16.0f} %')
        return '\n'.join([*lines, f'least_confidence: {self.least_confidence:.3f}'])


def describe_far(checkpoint: Checkpoint, resolution: tuple[int, int]) -> str:
    """Say why a limit that is measured at a resolution would not hold for weights, or ''.

    The weights say their resolution and not that of their limit, and the node judges frames only
    near the resolution of the weights.

    Args:
        checkpoint: The weights.
        resolution: (width, height) of the network.
    """
    if checkpoint.judges_confidence_at(resolution):
        return ''
    width, height = checkpoint.resolution
    return (f'the resolution is {resolution[0]}x{resolution[1]}, and these weights are trained at '
            f'{width}x{height}: their limit holds there, from half to twice as many pixels and '
            f'half to twice the ratio of width to height. Leave out --resolution')


def spread(count: int) -> list[int]:
    """Return at most ``FRAMES`` indices below ``count``, evenly spread."""
    return sorted(set(np.linspace(0, count - 1, min(FRAMES, count)).astype(int).tolist()))


def spread_frames(path: Path) -> list[np.ndarray]:
    """Read at most ``FRAMES`` frames of an image, a video or a folder of images.

    Raises:
        SourceError: A file cannot be read.
    """
    if path.is_dir():
        images = list_images(path)
        return [read_image(images[index]) for index in spread(len(images))]
    if not is_video(path):
        return [read_image(path)]
    video = Video(path)
    chosen = set(spread(video.count) if video.count else range(FRAMES))
    frames = [frame for index, frame in enumerate(video) if index in chosen]
    if not frames:
        raise SourceError(f"'{path}' has no frames that can be read")
    return frames


def limit_of_split(checkpoint: Checkpoint, data: SegmentationData) -> float:
    """Return the limit of weights that have just been trained, by frames of a split."""
    segmenter = Segmenter(checkpoint, checkpoint.resolution, 'torch', 'float32', use_cache=False)
    frames = [data.read(index)[0] for index in spread(len(data))]
    return measure_confidence_limit(segmenter, frames).least_confidence


def measure_confidence_limit(segmenter: Segmenter,
                             frames: Sequence[np.ndarray]) -> ConfidenceLimit:
    """Choose the limit from clean frames and from the same frames ruined.

    ``RUINED_SHARE`` of the ruined frames lie below it, and every clean frame lies above.

    Args:
        segmenter: The network.
        frames: (H, W, 3) uint8 RGB each, at least one. Training has not seen them.
    """
    clean = _confidences(segmenter, frames)
    ruined = {ruin.__name__: _confidences(segmenter, (
                  ruin(frame, np.random.default_rng(seed)) for seed, frame in enumerate(frames)))
              for ruin in RUINS}
    limit = min(float(np.quantile(np.concatenate(list(ruined.values())), RUINED_SHARE)),
                float(clean.min()) - MARGIN)
    return ConfidenceLimit(round(max(limit, 0.0), 3), clean, ruined)


def _confidences(segmenter: Segmenter, frames: Iterable[np.ndarray]) -> np.ndarray:
    """Return the mean confidence of each frame."""
    batch, values = segmenter.new_batch(1), []
    for frame in frames:
        resize_frame(frame, segmenter.resolution, batch[0])
        values.append(mean_confidence(segmenter.infer(batch, confidence=True)[0]))
    return np.array(values)
