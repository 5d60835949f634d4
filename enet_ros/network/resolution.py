"""The sizes of frames that are read, and those that the network takes, without importing torch."""

from __future__ import annotations

from collections.abc import Sequence

#: Width and height in pixels must be multiples of this. The network halves its input three times,
#: and undoes each halving exactly.
STRIDE = 8
MAX_PIXELS = 64_000_000  # of a frame, and of the input of the network


def check_resolution(resolution: Sequence[int]) -> tuple[int, int]:
    """Return a resolution as (width, height).

    Raises:
        ValueError: It is not two positive multiples of 8, or it is above 64 MP.
    """
    values = list(resolution)
    if len(values) != 2 or any(v < STRIDE or v % STRIDE for v in values):
        text = 'x'.join(str(v) for v in values)
        hint = ''
        if len(values) == 2 and min(values) > 0 and max(values) < MAX_PIXELS:
            near = [max(STRIDE, round(v / STRIDE) * STRIDE) for v in values]
            hint = f', such as {near[0]}x{near[1]}'
        raise ValueError(f'resolution is {text}, wanted width and height in '
                         f'multiples of {STRIDE}{hint}')
    width, height = (int(v) for v in values)
    if width * height > MAX_PIXELS:
        raise ValueError(f'resolution is {width}x{height}, wanted at most 64 MP')
    return width, height
