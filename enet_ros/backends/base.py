"""What a backend is, what is asked of it, and how precisions are named.

A backend is opened once, for one network and one resolution, and then called for every batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:  # The doctor reads this module where safetensors may be absent.
    from enet_ros.network.checkpoint import Checkpoint

#: What people may write for a precision, and its one name here.
PRECISIONS = {
    'auto': 'auto',
    'float32': 'float32', 'f32': 'float32', 'fp32': 'float32',
    'bfloat16': 'bfloat16', 'bf16': 'bfloat16',
    'float16': 'float16', 'f16': 'float16', 'fp16': 'float16', 'half': 'float16',
    'int8': 'int8', 'i8': 'int8',
}
PRECISION_NAMES = tuple(dict.fromkeys(PRECISIONS.values()))


class BackendError(ValueError):
    """A backend cannot be used here, or not with this request. The message says why."""


class PrecisionError(BackendError):
    """A backend cannot run in the precision of the request.

    Attributes:
        reason: Why it cannot, without the name of that precision.
    """

    def __init__(self, precision: str, reason: str):
        """Take the canonical name of the precision, and the reason."""
        super().__init__(precision, reason)  # both, so that it travels between processes
        self.precision, self.reason = precision, reason

    def __str__(self) -> str:
        """Return the message."""
        return f'precision {self.precision}: {self.reason}'


class Backend(Protocol):
    """A compiled network.

    Attributes:
        name: Name, as in the parameter ``backend``.
        precision: Arithmetic in which it really runs: 'float32', 'bfloat16', 'float16' or 'int8'.
        device: What it runs on, in words.
        max_batch: Greatest useful number of frames in one call. More frames of several cameras
            are better segmented, and published, one after the other.
        from_cache: Whether nothing was compiled since it was opened, or None if it compiles at
            every start or in the background.
    """

    name: str
    precision: str
    device: str
    max_batch: int
    from_cache: bool | None

    def new_batch(self, count: int) -> np.ndarray:
        """Return memory for ``count`` frames, from which :meth:`infer` reads fastest.

        Returns:
            (N, H, W, 3) uint8. Its content is not defined.
        """

    def status(self) -> str:
        """Say in one line how far the building of an engine is, or '' if none is built."""

    def wait(self, *, confidence: bool = False, timeout_sec: float = float('inf')) -> bool:
        """Wait until an engine that is built in the background serves, or never will.

        Measurements and tests call it, in the thread that segments.

        Args:
            confidence: Whether the engine gives the probability of the winning class as well.
            timeout_sec: Longest wait.

        Returns:
            Whether it serves, which is True where none is built in the background.
        """

    def is_lost(self) -> bool:
        """Tell, after a call failed, whether all later calls in this process must fail, too."""

    def infer(self, frames: np.ndarray, *,
              confidence: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Segment a batch.

        Args:
            frames: (N, H, W, 3) uint8 RGB, C-contiguous, at the resolution of the request.
            confidence: Whether the probability of the winning class is computed as well.

        Returns:
            Class ids (N, H, W) uint8, and (N, H, W) float32 in [0, 1] or None. The caller owns
            both arrays.
        """


def empty_frames(count: int, resolution: tuple[int, int]) -> np.ndarray:
    """Return ordinary memory for frames of (width, height), (count, H, W, 3) uint8."""
    width, height = resolution
    return np.empty((count, height, width, 3), np.uint8)


@dataclass(frozen=True)
class BackendRequest:
    """What is asked of a backend.

    Attributes:
        checkpoint: Weights and normalization.
        resolution: (width, height) in pixels, multiples of 8.
        precision: A canonical name, or 'auto'.
        threads: Number of CPU threads. 0 leaves it to the runtime.
        use_cache: Whether a compiled network is kept on disk for the next start.
        batch: Number of frames that usually come at once. A backend of fixed batch is compiled
            for it.
        needs_cuda: Whether torch is refused where it does not see the CUDA device.
        report: Receives a sentence when a network must be compiled that the cache does not hold.
            If it is given, OpenVINO compiles in a child process, so that this process goes on
            meanwhile. If it is None, this process compiles and says nothing.
    """

    checkpoint: Checkpoint
    resolution: tuple[int, int]
    precision: str = 'auto'
    threads: int = 0
    use_cache: bool = True
    batch: int = 1
    needs_cuda: bool = False
    report: Callable[[str], object] | None = None


def canonical_precision(precision: str) -> str:
    """Return the one name of a precision.

    Raises:
        BackendError: The name is not a precision.
    """
    try:
        return PRECISIONS[precision.lower()]
    except KeyError:
        raise BackendError(f"precision is '{precision}', wanted one of "
                           f'{", ".join(PRECISION_NAMES)}') from None
