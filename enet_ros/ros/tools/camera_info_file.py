"""Calibration files of camera_calibration and camera_info_manager, to camera infos."""

from __future__ import annotations

import os
from pathlib import Path

from sensor_msgs.msg import CameraInfo

from enet_ros.common.plain_yaml import PlainYamlError, load_yaml, read_limited

LARGEST_SIZE = 65_535  # pixels, the most of a JPEG
#: Field of CameraInfo -> key of the matrix in the file, and the number of its values.
MATRICES = {'k': ('camera_matrix', 9), 'd': ('distortion_coefficients', None),
            'r': ('rectification_matrix', 9), 'p': ('projection_matrix', 12)}


def read_camera_info(path: str) -> CameraInfo:
    """Read the calibration of a camera, as the package camera_calibration saves it.

    Args:
        path: Path of the YAML file.

    Raises:
        ValueError: The file cannot be read, or lacks a value. The message names it.
    """
    try:
        content = load_yaml(read_limited(Path(os.path.expanduser(path))))
        info = CameraInfo(width=_size(content, 'image_width'),
                          height=_size(content, 'image_height'),
                          distortion_model=str(content['distortion_model']))
        for field, (key, count) in MATRICES.items():
            values = [float(value) for value in content[key]['data']]
            if count is not None and len(values) != count:
                raise ValueError(f'{key} has {len(values)} values, wanted {count}')
            setattr(info, field, values)
    except OSError as error:
        raise ValueError(f"camera_info_file '{path}': {error.strerror}") from error
    except KeyError as error:
        raise ValueError(f"camera_info_file '{path}' has no {error.args[0]}, wanted the file that "
                         'camera_calibration saves') from error
    except (PlainYamlError, ValueError, TypeError) as error:
        raise ValueError(f"camera_info_file '{path}' is no calibration: {error}") from error
    return info


def _size(content: dict, key: str) -> int:
    """Return the width or height of the images in pixels."""
    size = content[key]
    if type(size) is not int or not 1 <= size <= LARGEST_SIZE:
        raise ValueError(f'{key} is {size!r}, wanted 1 to {LARGEST_SIZE} pixels')
    return size
