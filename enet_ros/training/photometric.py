"""Photometric augmentation: light, color, weather, lens and compression. No pixel moves.

Frames are (H, W, 3) uint8 RGB. Every random number comes from the generator that the caller
passes. Arithmetic in float32 runs in strips of rows: the memory of one strip is reused by the
next, while a whole frame would be requested from the operating system for every change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from enet_ros.training.ruin import RUINS_IN_PLACE

Rng = np.random.Generator

STRIP_VALUES = 24_000  # float32 values in a strip: 96 kB
_RAMP = np.arange(256, dtype=np.float32)


def _row_strips(frame: np.ndarray) -> Iterator[slice]:
    """Yield slices of rows that cover a frame, each of about ``STRIP_VALUES`` values."""
    rows = max(1, STRIP_VALUES // (frame.shape[1] * 3))
    return (slice(top, top + rows) for top in range(0, len(frame), rows))


def _apply_curve(frame: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Map every value by a curve, (256,) for all channels or (256, 3), clipped to 0..255."""
    curve = np.clip(curve, 0, 255).astype(np.uint8)
    return cv2.LUT(frame, np.ascontiguousarray(curve.reshape(1, 256, -1)))


def _multiply(frame: np.ndarray, factor: Callable[[slice], np.ndarray]) -> np.ndarray:
    """Multiply every pixel by its factor, clip, and round down to uint8.

    Args:
        frame: (H, W, 3) uint8.
        factor: Returns the factors of a slice of rows, (rows, W) float32.
    """
    result = np.empty_like(frame)
    for rows in _row_strips(frame):
        product = cv2.cvtColor(factor(rows), cv2.COLOR_GRAY2RGB)
        product *= frame[rows]
        result[rows] = np.clip(product, 0, 255, out=product)
    return result


def _mean(frame: np.ndarray) -> float:
    """Return the mean of all values."""
    return sum(cv2.sumElems(frame)) / frame.size


def gamma(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Change the exposure by a gamma curve, from deep shadows to glare."""
    exponent = np.exp(rng.uniform(-0.7, 0.7))
    return _apply_curve(frame, 255 * (_RAMP / 255) ** exponent)


def brightness_contrast(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Scale the brightness by 0.5 to 1.5 and the contrast about the mean by 0.5 to 1.6."""
    mean, gain = _mean(frame), rng.uniform(0.5, 1.6)
    return _apply_curve(frame, (_RAMP - mean) * gain + mean * rng.uniform(0.5, 1.5))


def white_balance(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Scale each channel by 0.7 to 1.35 and shift it by up to 12 of 255."""
    return _apply_curve(frame,
                        _RAMP[:, None] * rng.uniform(0.7, 1.35, 3) + rng.uniform(-12, 12, 3))


def hue_saturation(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Shift the hue by up to 24 degrees and scale the saturation by 0 to 2."""
    hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
    hue = ((_RAMP + rng.uniform(-12, 12)) % 180).astype(np.uint8)  # OpenCV stores half degrees
    saturation = np.clip(_RAMP * rng.uniform(0, 2), 0, 255).astype(np.uint8)
    curve = np.stack((hue, saturation, _RAMP.astype(np.uint8)), axis=-1)
    return cv2.cvtColor(cv2.LUT(hsv, curve[None]), cv2.COLOR_HSV2RGB)


def dusk(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Dim and tint the frame, crush the shadows and add the noise of a dark sensor."""
    dim = min(1.0, rng.uniform(30, 80) / max(_mean(frame), 1.0))
    tint = rng.uniform((0.7, 0.8, 0.8), (1.1, 1.0, 1.1))
    curve = 255 * (_RAMP[:, None] / 255) ** rng.uniform(0.9, 1.3) * dim * tint
    return _add_color_noise(_apply_curve(frame, curve), rng.uniform(2, 8), rng)


def equalize(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Equalize the lightness locally (CLAHE), as some cameras do."""
    lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB)
    clahe = cv2.createCLAHE(rng.uniform(1, 4), (int(rng.integers(2, 8)),) * 2)
    lab[..., 0] = clahe.apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def posterize(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Keep 3 to 5 bits a channel."""
    step = 1 << int(rng.integers(3, 6))
    return _apply_curve(frame, _RAMP // step * step + step // 2)


def shuffle_channels(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Permute the channels, so that color alone does not decide a class."""
    return np.ascontiguousarray(frame[..., rng.permutation(3)])


def blur(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Blur by a Gaussian of 0.5 to 2 pixels, or by motion over 3 to 9 pixels."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.5, 2))
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    middle, angle = (length - 1) / 2, rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * middle
    start, end = (np.rint(middle + sign * reach).astype(int).tolist() for sign in (-1, 1))
    cv2.line(kernel, start, end, 1)
    return cv2.filter2D(frame, -1, kernel / kernel.sum())


def coarsen(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Lose detail: scale the frame down to 0.35 to 0.8 of its size and up again."""
    height, width = frame.shape[:2]
    factor = rng.uniform(0.35, 0.8)
    small = cv2.resize(frame, (max(1, int(width * factor)), max(1, int(height * factor))),
                       interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def sharpen(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Sharpen by an unsharp mask, as cheap cameras do."""
    blurred = cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.8, 2))
    amount = rng.uniform(0.4, 1.5)
    return cv2.addWeighted(frame, 1 + amount, blurred, -amount, 0)


def noise(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Add Gaussian noise of deviation 3 to 18 of 255, to each channel or to the lightness."""
    if rng.random() < 0.5:
        return _add_color_noise(frame, rng.uniform(3, 18), rng)
    grain, result = rng.standard_normal(frame.shape[:2], np.float32), np.empty_like(frame)
    grain *= np.float32(rng.uniform(3, 18))
    for rows in _row_strips(frame):
        noisy = cv2.cvtColor(grain[rows], cv2.COLOR_GRAY2RGB)
        noisy += frame[rows]
        result[rows] = np.clip(noisy, 0, 255, out=noisy)
    return result


def _add_color_noise(frame: np.ndarray, deviation: float, rng: Rng) -> np.ndarray:
    """Add Gaussian noise of a deviation, in gray levels, to each channel by itself."""
    result = np.empty_like(frame)
    for rows in _row_strips(frame):
        strip = frame[rows]
        noisy = rng.standard_normal(strip.shape, np.float32)
        noisy *= np.float32(deviation)
        noisy += strip
        result[rows] = np.clip(noisy, 0, 255, out=noisy)
    return result


def jpeg(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Compress as JPEG of quality 12 to 69."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(12, 70))]
    return cv2.imdecode(cv2.imencode('.jpg', frame, quality)[1], cv2.IMREAD_COLOR)


def shadow(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Darken a random polygon with soft borders, or brighten it in a quarter of the cases."""
    mask = soft_polygon(frame.shape[:2], rng)
    gain = rng.uniform(0.35, 0.8) if rng.random() < 0.75 else rng.uniform(1.2, 1.7)
    factors = 1 + _RAMP * ((gain - 1) / 255)  # by the value of the mask
    return _multiply(frame, lambda rows: cv2.LUT(mask[rows], factors))


def soft_polygon(shape: tuple[int, int], rng: Rng) -> np.ndarray:
    """Draw a random polygon with soft borders: (height, width) uint8, 255 inside."""
    height, width = shape
    corners = rng.uniform(-0.3, 1.3, (int(rng.integers(3, 6)), 2)) * (width, height)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [corners.astype(np.int32)], 255)
    return cv2.blur(mask, (int(rng.integers(1, 16)),) * 2)


def fog(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Fade towards a pale gray, most strongly at a horizon."""
    height, width = frame.shape[:2]
    row = np.arange(height, dtype=np.float32)[:, None] / height
    distance = np.abs(row - rng.uniform(0.3, 0.6))
    amount = rng.uniform(0.2, 0.75) * np.exp(-distance * rng.uniform(1, 4))
    pale = rng.uniform(140, 240) + rng.uniform(-15, 15, 3).astype(np.float32)
    values, pale_row, result = frame.reshape(height, -1), np.tile(pale, width), []
    for rows in _row_strips(frame):
        faded = values[rows] * (1 - amount[rows])
        faded += pale_row * amount[rows]
        result.append(faded.astype(np.uint8))
    return np.concatenate(result).reshape(frame.shape)


def rain(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Draw slanted streaks, dim the frame and soften it."""
    height, width = frame.shape[:2]
    drops = int(rng.integers(60, 300) * height * width / 76800)
    length, slant = rng.uniform(6, 20), rng.uniform(-0.4, 0.4)
    start = (rng.uniform(0, 1, (drops, 2)) * (width, height)).astype(np.int32)
    end = start + np.int32([slant * length, length])
    streaks = np.zeros((height, width), np.uint8)
    cv2.polylines(streaks, list(np.stack((start, end), axis=1)), False, int(rng.integers(60, 160)))
    streaks = cv2.GaussianBlur(streaks, (3, 3), 0)
    dim = _apply_curve(cv2.GaussianBlur(frame, (3, 3), 0), _RAMP * rng.uniform(0.6, 0.95))
    return cv2.add(dim, cv2.cvtColor(streaks, cv2.COLOR_GRAY2RGB))


def vignette(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Darken the corners as lenses do, or brighten one side as a low sun does."""
    height, width = frame.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] - rng.uniform(-0.6, 0.6)
    x = np.linspace(-1, 1, width, dtype=np.float32) - rng.uniform(-0.6, 0.6)
    gain, x2, y2 = rng.uniform(-0.35, 0.15), x * x, y * y
    return _multiply(frame, lambda rows: 1 + gain * (x2 + y2[rows]))


#: (function, chance), in the order of a camera: the world's light, the lens, the sensor and the
#: compression.
CHANGES = (
    (shadow, 0.2), (fog, 0.1), (rain, 0.07), (dusk, 0.15), (gamma, 0.4), (vignette, 0.2),
    (blur, 0.15), (coarsen, 0.1), (white_balance, 0.45), (hue_saturation, 0.35),
    (brightness_contrast, 0.45), (shuffle_channels, 0.03), (equalize, 0.06), (sharpen, 0.1),
    (noise, 0.15), (posterize, 0.04), (jpeg, 0.15),
)


def photometric(frame: np.ndarray, rng: Rng, strength: float = 1.0) -> np.ndarray:
    """Change light, color, weather, lens and texture at random.

    Args:
        frame: (H, W, 3) uint8 RGB.
        rng: Source of randomness.
        strength: Factor of the chances in ``CHANGES``; 0 changes nothing.

    Returns:
        A frame of the same shape and type.
    """
    for change, chance in CHANGES:
        if rng.random() < chance * strength:
            frame = change(frame, rng)
    return frame


def apply_change(name: str, frame: np.ndarray, seed: int) -> np.ndarray:
    """Apply one photometric change; the same seed gives the same result.

    Args:
        name: Name of a function in ``CHANGES``, such as 'dusk' or 'rain', or of one in
            ``RUINS_IN_PLACE``, such as 'dirt'.
        frame: (H, W, 3) uint8 RGB.
        seed: Seed of the random numbers of the change.

    Returns:
        A frame of the same shape and type.

    Raises:
        ValueError: There is no such change.
    """
    changes = {change.__name__: change
               for change in (*(change for change, _ in CHANGES), *RUINS_IN_PLACE)}
    if name not in changes:
        raise ValueError(f"change is '{name}', wanted one of {', '.join(changes)}")
    return changes[name](frame, np.random.default_rng(seed))
