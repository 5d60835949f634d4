"""Random changes of frames and labels: geometry, colour, light, weather, lens, texture.

Arrays in, arrays out; all chance comes from the generator that is passed in. Frames are (H, W, 3)
uint8 RGB, label maps (H, W) uint8 with 255 where a pixel does not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from enet_ros.training.datasets import IGNORE

Rng = np.random.Generator


@dataclass(frozen=True)
class Geometry:
    """How far the view may move.

    Attributes:
        scale: least and greatest magnification of the frame as the network sees it, stretched to
            its resolution; the window is smaller where it is greater.
        aspect: greatest ratio by which the width is stretched or squeezed.
        rotation_deg: greatest rotation, either way.
        perspective: greatest shift of a corner, as a fraction of the window.
        focus: chance that the window is laid around a pixel of a class drawn evenly among those
            in the frame, so that rare classes are seen as often as common ones.
    """

    scale: tuple[float, float] = (0.7, 2.0)
    aspect: float = 1.25
    rotation_deg: float = 5.0
    perspective: float = 0.05
    focus: float = 0.35


CROPS = Geometry()
WHOLE_FRAMES = Geometry((0.9, 1.25), 1.1, 2.0, 0.02, 0.0)
PLAIN = Geometry((1.0, 1.0), 1.0, 0.0, 0.0, 0.0)


def change_view(frame: np.ndarray, labels: np.ndarray, size: tuple[int, int],
                resolution: tuple[int, int], geometry: Geometry,
                rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Scale, crop, flip, rotate and tilt by one warp.

    Args:
        frame: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8.
        size: (width, height) of the result.
        resolution: (width, height) that whole frames are stretched to. A result of this size shows
            the whole frame at magnification 1, a smaller one a crop of it.
        geometry: how far the view may move.
        rng: source of chance.

    Returns:
        Frame and labels of ``size``; labels outside the frame are 255, colours mirrored.
    """
    width, height = size
    share = np.array(size, float) / resolution
    target = np.float32([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    matrix = cv2.getPerspectiveTransform(_window(labels, share, geometry, rng), target)
    if rng.random() < 0.5:
        matrix = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1.0]]) @ matrix
    return (cv2.warpPerspective(frame, matrix, size, flags=cv2.INTER_LINEAR,
                                borderMode=cv2.BORDER_REFLECT_101),
            cv2.warpPerspective(labels, matrix, size, flags=cv2.INTER_NEAREST,
                                borderMode=cv2.BORDER_CONSTANT, borderValue=IGNORE))


def _window(labels: np.ndarray, share: np.ndarray, geometry: Geometry, rng: Rng) -> np.ndarray:
    """Choose the quadrilateral of the frame that is seen, (4, 2) float32 corners in pixels.

    Args:
        labels: (H, W), of the frame.
        share: of the frame's width and height that is seen at magnification 1.
        geometry: how far the view may move.
        rng: source of chance.
    """
    low, high = np.log(geometry.scale)
    scale, aspect = np.exp(rng.uniform(low, high)), geometry.aspect ** rng.uniform(-1, 1)
    seen = labels.shape[::-1] * share / scale
    seen *= (aspect ** 0.5, aspect ** -0.5)
    angle = np.deg2rad(rng.uniform(-1, 1) * geometry.rotation_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    corners += rng.uniform(-1, 1, (4, 2)) * geometry.perspective
    centre = _centre(labels, seen, geometry.focus, rng)
    return np.float32((corners * seen) @ turn.T + centre - 0.5)


def _centre(labels: np.ndarray, seen: np.ndarray, focus: float, rng: Rng) -> np.ndarray:
    """Choose the middle of the window, (x, y), so that it lies inside the frame if it fits."""
    frame = np.array(labels.shape[::-1], float)
    low, high = np.minimum(seen, frame) / 2, frame - np.minimum(seen, frame) / 2
    centre = rng.uniform(low, high)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256)[:IGNORE])
    if rng.random() < focus and len(present):
        where = np.flatnonzero(labels == rng.choice(present))
        y, x = divmod(int(rng.choice(where)), labels.shape[1])
        centre = np.clip((x, y) + rng.uniform(-0.3, 0.3, 2) * seen, low, high)
    return centre


def _lut(frame: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Map every value by a curve, (256,) or a column a channel (256, 3), in 0..255."""
    curve = np.clip(curve, 0, 255).astype(np.uint8)
    return cv2.LUT(frame, np.ascontiguousarray(curve.reshape(1, 256, -1)))


_RAMP = np.arange(256, dtype=np.float32)


def gamma(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Change exposure, with clipping: deep shadows up to glare."""
    exponent = np.exp(rng.uniform(-0.7, 0.7))
    return _lut(frame, 255 * (_RAMP / 255) ** exponent)


def brightness_contrast(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Change brightness by up to half, contrast by 0.5 to 1.6 about the mean."""
    mean, gain = float(frame.mean()), rng.uniform(0.5, 1.6)
    return _lut(frame, (_RAMP - mean) * gain + mean * rng.uniform(0.5, 1.5))


def white_balance(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Scale each channel by 0.7 to 1.35, and lift it by up to 12."""
    return _lut(frame, _RAMP[:, None] * rng.uniform(0.7, 1.35, 3) + rng.uniform(-12, 12, 3))


def hue_saturation(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Turn the hue by up to 25 degrees, scale the saturation by 0 to 2."""
    hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
    hue = ((_RAMP + rng.uniform(-12, 12)) % 180).astype(np.uint8)
    saturation = np.clip(_RAMP * rng.uniform(0, 2), 0, 255).astype(np.uint8)
    curve = np.stack((hue, saturation, _RAMP.astype(np.uint8)), axis=-1)
    return cv2.cvtColor(cv2.LUT(hsv, curve[None]), cv2.COLOR_HSV2RGB)


def dusk(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Dim the frame, bluish or brownish, crush the shadows and add a dark sensor's grain."""
    dim = min(1.0, rng.uniform(30, 80) / max(float(frame.mean()), 1.0))
    tint = rng.uniform((0.7, 0.8, 0.8), (1.1, 1.0, 1.1))
    curve = 255 * (_RAMP[:, None] / 255) ** rng.uniform(0.9, 1.3) * dim * tint
    return _add_noise(_lut(frame, curve), rng.uniform(2, 8), rng)


def equalize(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Equalise the lightness locally (CLAHE), as some cameras do."""
    lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB)
    clahe = cv2.createCLAHE(rng.uniform(1, 4), (int(rng.integers(2, 8)),) * 2)
    lab[..., 0] = clahe.apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def posterize(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Keep 3 to 5 bits a channel."""
    step = 1 << int(rng.integers(3, 6))
    return _lut(frame, _RAMP // step * step + step // 2)


def shuffle_channels(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Permute the channels: colour alone must not decide."""
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
    """Lose detail by scaling down, to 0.35 to 0.8, and up again."""
    height, width = frame.shape[:2]
    factor = rng.uniform(0.35, 0.8)
    small = cv2.resize(frame, (int(width * factor), int(height * factor)),
                       interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def sharpen(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Sharpen by an unsharp mask, as cheap cameras do."""
    soft = cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.8, 2))
    amount = rng.uniform(0.4, 1.5)
    return cv2.addWeighted(frame, 1 + amount, soft, -amount, 0)


def _add_noise(frame: np.ndarray, sigma: float, rng: Rng) -> np.ndarray:
    grain = rng.standard_normal(frame.shape, np.float32) * np.float32(sigma)
    return np.clip(frame + grain, 0, 255).astype(np.uint8)


def noise(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Add Gaussian noise of 3 to 18 of 255, in colour or in lightness alone."""
    if rng.random() < 0.5:
        return _add_noise(frame, rng.uniform(3, 18), rng)
    grain = rng.standard_normal((*frame.shape[:2], 1), np.float32) * rng.uniform(3, 18)
    return np.clip(frame + grain, 0, 255).astype(np.uint8)


def jpeg(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Compress as JPEG of quality 12 to 70."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(12, 70))]
    return cv2.imdecode(cv2.imencode('.jpg', frame, quality)[1], cv2.IMREAD_COLOR)


def shadow(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Darken (or light up) a soft random polygon."""
    height, width = frame.shape[:2]
    corners = rng.uniform(-0.3, 1.3, (int(rng.integers(3, 6)), 2)) * (width, height)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [corners.astype(np.int32)], 255)
    mask = cv2.blur(mask, (int(rng.integers(1, 16)),) * 2)
    change = rng.uniform(0.35, 0.8) if rng.random() < 0.75 else rng.uniform(1.2, 1.7)
    factor = 1 + mask.astype(np.float32)[..., None] * ((change - 1) / 255)
    return np.clip(frame * factor, 0, 255).astype(np.uint8)


def fog(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Fade towards a pale grey, most about a horizon."""
    height = len(frame)
    rows = np.arange(height, dtype=np.float32)[:, None, None] / height
    away = np.abs(rows - rng.uniform(0.3, 0.6))
    amount = rng.uniform(0.2, 0.75) * np.exp(-away * rng.uniform(1, 4))
    pale = rng.uniform(140, 240) + rng.uniform(-15, 15, 3).astype(np.float32)
    return (frame * (1 - amount) + pale * amount).astype(np.uint8)


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
    dim = _lut(cv2.GaussianBlur(frame, (3, 3), 0), _RAMP * rng.uniform(0.6, 0.95))
    return cv2.add(dim, cv2.cvtColor(streaks, cv2.COLOR_GRAY2RGB))


def vignette(frame: np.ndarray, rng: Rng) -> np.ndarray:
    """Darken the corners, or brighten one side, as lenses and low suns do."""
    height, width = frame.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None] - rng.uniform(-0.6, 0.6)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None] - rng.uniform(-0.6, 0.6)
    factor = 1 + rng.uniform(-0.35, 0.15) * (x * x + y * y)
    return np.clip(frame * factor, 0, 255).astype(np.uint8)


#: How a frame may be changed without moving a pixel: (function, chance). In a camera's order:
#: the world's light, the lens, the sensor, the compression.
CHANGES = (
    (shadow, 0.2), (fog, 0.1), (rain, 0.07), (dusk, 0.15), (gamma, 0.4), (vignette, 0.2),
    (blur, 0.15), (coarsen, 0.1), (white_balance, 0.45), (hue_saturation, 0.35),
    (brightness_contrast, 0.45), (shuffle_channels, 0.03), (equalize, 0.06), (sharpen, 0.1),
    (noise, 0.15), (posterize, 0.04), (jpeg, 0.15),
)


def change_look(frame: np.ndarray, rng: Rng, strength: float = 1.0) -> np.ndarray:
    """Change light, colour, weather, lens and texture.

    Args:
        frame: (H, W, 3) uint8 RGB.
        rng: source of chance.
        strength: the chances of ``CHANGES`` are multiplied by it; 0 changes nothing.

    Returns:
        A frame of the same shape and type.
    """
    for change, chance in CHANGES:
        if rng.random() < chance * strength:
            frame = change(frame, rng)
    return frame


def changed_as(name: str, frame: np.ndarray, seed: int) -> np.ndarray:
    """Change a frame in one way, such as 'dusk' or 'rain', the same for the same seed.

    Args:
        name: of a function of ``CHANGES``.
        frame: (H, W, 3) uint8 RGB.
        seed: of the chance in it.

    Raises:
        ValueError: there is no such change.
    """
    known = {change.__name__: change for change, _ in CHANGES}
    if name not in known:
        raise ValueError(f"change is '{name}', wanted one of {', '.join(known)}")
    return known[name](frame, np.random.default_rng(seed))


def cut_out(frame: np.ndarray, labels: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Hide up to three rectangles behind noise; what they hide does not count."""
    frame, labels = frame.copy(), labels.copy()
    height, width = labels.shape
    for _ in range(int(rng.integers(1, 4))):
        w, h = int(width * rng.uniform(0.04, 0.2)), int(height * rng.uniform(0.04, 0.2))
        x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
        frame[y:y + h, x:x + w] = rng.integers(0, 256, (h, w, 3), np.uint8)
        labels[y:y + h, x:x + w] = IGNORE
    return frame, labels


def augment(frame: np.ndarray, labels: np.ndarray, size: tuple[int, int],
            resolution: tuple[int, int], geometry: Geometry, rng: Rng,
            strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Change the view and the look of a frame.

    Args:
        frame: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8.
        size: (width, height) of the result.
        resolution: see :func:`change_view`.
        geometry: how far the view may move.
        rng: source of chance.
        strength: see :func:`change_look`.

    Returns:
        (height, width, 3) uint8 RGB and (height, width) uint8.
    """
    frame, labels = change_view(frame, labels, size, resolution, geometry, rng)
    frame = change_look(frame, rng, strength)
    if rng.random() < 0.1 * strength:
        return cut_out(frame, labels, rng)
    return frame, labels
