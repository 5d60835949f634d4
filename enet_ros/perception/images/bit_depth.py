"""How many bits of a 16-bit image are significant, and the image in 8 bits."""

from __future__ import annotations

import numpy as np

from enet_ros.perception.images.raw_image import Remark

DEPTHS = (8, 10, 12, 14, 16)  # of sensors
_FULL_FRAMES = 10  # whose every sample is looked at
_SAMPLED_ROWS = 48  # of each frame after them
#: Greatest share of samples above a depth that do not count: pixels that are broken, and rows of
#: telemetry, which some cameras put into the image.
OUTLIERS = 0.01


class BitDepth:
    """The significant bits of the 16-bit images of one camera or file.

    A sensor of 10, 12 or 14 bits sends numbers of 16 bits. Read as 16 bits, its images are black.
    The significant bits are given, or found from the values that came so far: the smallest depth
    of a sensor that holds nearly all of them. So the depth grows when brighter values come, and
    images never become too dark. Single values above it are white. Values that are shifted to the
    top of the 16 bits end in zeros, and have 16.

    Args:
        bits: Significant bits as the user says, 8 to 16, or 0 to find them.
    """

    def __init__(self, bits: int = 0):
        self.bits = bits
        self._seen_bits = self._frames = 0  # bits of the samples that count, number of images

    def to_uint8(self, samples: np.ndarray) -> tuple[np.ndarray, Remark]:
        """Reduce samples of 16 bits to 8.

        Args:
            samples: (H, W) or (H, W, C) uint16, of any byte order. An alpha channel must be cut
                off before, since it is always full.

        Returns:
            The samples as uint8 of the same shape, and what is worth knowing of the depth.
        """
        self._look_at(samples)
        found = find_depth(self._seen_bits)
        depth = self.bits or found
        if depth < 16:  # Values above the depth are white.
            samples = np.minimum(samples, (1 << depth) - 1)
        reduced = np.right_shift(samples, depth - 8, casting='unsafe',
                                 out=np.empty(samples.shape, np.uint8))
        return reduced, self._remark(depth, found)

    def _look_at(self, samples: np.ndarray) -> None:
        """Note the bits that are set. After some images, a few rows stand for each image."""
        if self._frames >= _FULL_FRAMES:
            samples = samples[self._frames % 7::max(1, len(samples) // _SAMPLED_ROWS)]
        self._frames += 1
        bits = int(np.bitwise_or.reduce(samples, axis=None))
        if bits >> _depth_of(self._seen_bits):  # Values that are brighter than all before.
            bits = bits_without_outliers(samples)
        self._seen_bits |= bits

    def _remark(self, depth: int, found: int) -> Remark:
        if not self.bits:
            return Remark('bit_depth', f'{depth} of 16 bits, found from the values so far; '
                                       'the parameter bit_depth sets it')
        if self._seen_bits >> depth:
            return Remark('bit_depth', f'{depth} of 16 bits by the parameter bit_depth, but the '
                                       f'values need {found}; brighter values are white', True)
        return Remark('bit_depth', f'{depth} of 16 bits, by the parameter bit_depth')


def find_depth(seen_bits: int) -> int:
    """Return the depth of the sensor whose values have these bits.

    Args:
        seen_bits: The bitwise or of many values, 0 to 65535.
    """
    depth = _depth_of(seen_bits)
    zeros = (seen_bits & -seen_bits).bit_length() - 1  # at the end of every value
    # Values of 8 bits that were multiplied up end in zeros as well: as many as the depth says.
    is_shifted_up = zeros in (2, 4, 6) and zeros != depth - 8
    return 16 if is_shifted_up else depth


def bits_without_outliers(samples: np.ndarray) -> int:
    """Return the bitwise or of the samples within the least depth that holds nearly all of them.

    Args:
        samples: uint16 of any shape.
    """
    for depth in DEPTHS:
        within = samples < 1 << depth
        if samples.size - np.count_nonzero(within) <= OUTLIERS * samples.size:
            break
    return int(np.bitwise_or.reduce(samples, axis=None, where=within))


def _depth_of(bits: int) -> int:
    """Return the least depth of a sensor that holds values of these bits."""
    return next(depth for depth in DEPTHS if bits >> depth == 0)
