"""Names of distortion models, and their coefficients, as cameras send them.

sensor_msgs/distortion_models.hpp has three names. Drivers write them in other ways, use the names
of other libraries, and fill the coefficients up with zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Librealsense's model, in which tangential distortion applies to radially distorted points.
MODIFIED = 'modified_brown_conrady'
#: Librealsense's model of the other direction.
INVERSE = 'inverse_brown_conrady'
#: Name of a model -> numbers of coefficients that OpenCV takes, and other names of the model.
MODELS = {
    'plumb_bob': ((4, 5), ('radtan', 'radial_tangential', 'brown_conrady', 'brown', 'pinhole',
                           'opencv', 'perspective', 'pinhole_radtan', MODIFIED)),
    'rational_polynomial': ((8, 12, 14), ('rational', 'ratpoly', 'full_opencv', 'radtan8',
                                          'radial_tangential8', 'rational_polynomial8')),
    'equidistant': ((4,), ('fisheye', 'kannala_brandt', 'kannala_brandt4', 'kannala_brandt8',
                           'kb4', 'equi', 'pinhole_equi', 'opencv_fisheye', 'pinhole_fisheye',
                           'fisheye_equidistant', 'pinhole_equidistant')),
}
MOST_SHOWN = 40  # characters of a name in a message
#: Numbers of coefficients whose order is known. Zeros may follow them.
ORDERS = (4, 5, 8, 12, 14)


def _spelling(name: str) -> str:
    """Return a name without capitals and separators, which drivers write in all ways."""
    return ''.join(filter(str.isalnum, name.casefold()))


NAMES = {_spelling(name): model for model, (_, others) in MODELS.items()
         for name in (model, *others)}
#: Names that say that there is no distortion. Coefficients beside them contradict them.
NONE = frozenset({'', 'none', 'no', 'ideal', 'rectified', 'undistorted', 'nodistortion'})


@dataclass(frozen=True)
class Distortion:
    """A distortion model as OpenCV takes it.

    Attributes:
        model: A key of ``MODELS``, or '' for no distortion.
        coefficients: Coefficients in OpenCV's order; none without distortion.
        note: What was read differently than it was written, a sentence for the diagnostics, or ''.
    """

    model: str = ''
    coefficients: tuple[float, ...] = ()
    note: str = ''


def read_distortion(name: str, coefficients: Sequence[float]) -> Distortion:
    """Read the distortion of a camera info.

    Without a coefficient that is not 0 there is no distortion, whatever the name. The equidistant
    model is the exception: four zeros are an ideal fisheye lens, whose angles grow evenly from the
    center of the image. Zeros at the end mean nothing.

    Args:
        name: ``distortion_model`` of the message.
        coefficients: ``d`` of the message, finite numbers.

    Returns:
        The model and its coefficients.

    Raises:
        ValueError: The model is unknown, or has too many coefficients. The message says what is
            known.
    """
    key, name = _spelling(name), name[:MOST_SHOWN]
    values = tuple(float(value) for value in coefficients)
    model = NAMES.get(key)
    if model == 'equidistant' and len(values) >= 4:
        return Distortion(model, _fitted(model, name, values))
    if not any(values):
        return Distortion()
    _check_model(key, name, values)
    if model == 'plumb_bob' and any(values[5:]):
        return Distortion(
            'rational_polynomial', _fitted('rational_polynomial', name, values),
            f'distortion_model is {name!r} with {len(values)} coefficients, which are read as '
            'rational_polynomial')
    return Distortion(model, _fitted(model, name, values))


def _check_model(key: str, name: str, values: tuple[float, ...]) -> None:
    """Check that a model with coefficients that are not 0 is known."""
    reason = 'rectify the images and set rectified: true, or calibrate anew'
    if key in NONE:
        reason = 'd has values that are not 0'
    elif key == _spelling(INVERSE):
        reason = f'it goes from distorted to undistorted points; {reason}'
    elif key == _spelling(MODIFIED):
        if not any(values[2:4]):
            return
        reason = f'its tangential distortion is another one; {reason}'
    elif key in NAMES:
        return
    raise ValueError(f"distortion_model is {name!r}, wanted one of {', '.join(MODELS)}: {reason}")


def _fitted(model: str, name: str, values: tuple[float, ...]) -> tuple[float, ...]:
    """Return coefficients of a length that OpenCV takes: zeros at the end come and go."""
    counts, _ = MODELS[model]
    used = max((i + 1 for i, value in enumerate(values) if value), default=0)
    order = max((count for count in ORDERS if count <= len(values)), default=0)
    count = next((count for count in counts if count >= used), None)
    if count is None:
        raise ValueError(f'd has {used} values that are not all 0, wanted at most {counts[-1]} '
                         f'for distortion_model {name!r}')
    if used > order:
        raise ValueError(f'd has {len(values)} values, wanted {" or ".join(map(str, counts))} for '
                         f'distortion_model {name!r}')
    return (*values, *(0.,) * count)[:count]
